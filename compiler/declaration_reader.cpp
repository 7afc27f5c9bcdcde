#include "compiler/declaration_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fms {
namespace {

using Kind = SourceToken::Kind;

// Bounds that no sensible template reaches; they keep a hostile file's cost small.
constexpr std::size_t kMostParameters = 256;
constexpr std::size_t kMostChoices = 256;

}  // namespace

Result<void> DeclarationReader::read(const SourceToken& macro) {
  FMS_TRY_VOID(cursor_.take('(', "after " + macro.text));
  if (macro.text == "FMS_KERNEL") {
    FMS_TRY_VOID(parse_kernel(macro));
  } else if (macro.text == "FMS_ALLOW") {
    FMS_TRY_VOID(parse_allow());
  } else {
    const ParameterKind kind = macro.text == "FMS_INT"     ? ParameterKind::kInt
                               : macro.text == "FMS_BOOL"  ? ParameterKind::kBool
                               : macro.text == "FMS_FLOAT" ? ParameterKind::kFloat
                               : macro.text == "FMS_TYPE"  ? ParameterKind::kDType
                               : macro.text == "FMS_ENUM"  ? ParameterKind::kEnum
                                                           : ParameterKind::kSize;
    FMS_TRY_VOID(parse_parameter(macro, kind));
  }
  // The macros expand to declarations without their semicolon.
  return cursor_.take(';', fmt::format("behind {}(...)", macro.text));
}

Result<void> DeclarationReader::parse_kernel(const SourceToken& macro) {
  if (!result_.kernel.empty()) {
    return cursor_.error_at(macro,
                            fmt::format("a second FMS_KERNEL; the first names {}", result_.kernel));
  }
  FMS_TRY(result_.kernel, cursor_.take_name("the kernel's name"));
  FMS_TRY_VOID(cursor_.take(',', "and a description after the kernel's name"));
  FMS_TRY(result_.doc, cursor_.take_doc());
  return cursor_.take(')', "after the description");
}

Result<void> DeclarationReader::parse_allow() {
  for (;;) {
    const SourceToken first = cursor_.token();
    FMS_TRY(const std::string what, cursor_.take_name("spills or serialized_wgmma"));
    if (what == "spills") {
      result_.allows_spills = true;
    } else if (what == "serialized_wgmma") {
      result_.allows_serialized_wgmma = true;
    } else {
      return cursor_.error_at(
          first, fmt::format("can't allow '{}'; spills and serialized_wgmma can be", what));
    }
    if (!cursor_.at(',')) return cursor_.take(')', "or ',' in FMS_ALLOW");
    cursor_.advance();
  }
}

Result<void> DeclarationReader::parse_parameter(const SourceToken& macro, ParameterKind kind) {
  Parameter parameter{.kind = kind, .line = macro.line};
  if (kind == ParameterKind::kEnum) {
    FMS_TRY(parameter.enum_type, cursor_.take_name("the enum's type name"));
    FMS_TRY_VOID(cursor_.take(',', "after the enum's type name"));
  }
  FMS_TRY(parameter.name, cursor_.take_name("the parameter's name"));
  FMS_TRY_VOID(cursor_.take(',', "after the parameter's name"));
  std::string enumerator;
  if (kind == ParameterKind::kSize) {
    parameter.minimum = 0;
    parameter.default_value = Value::dynamic();
  } else {
    FMS_TRY_VOID(parse_default(parameter, enumerator));
    FMS_TRY_VOID(cursor_.take(',', "and a description after the default"));
  }
  FMS_TRY(parameter.doc, cursor_.take_doc());
  FMS_TRY_VOID(parse_constraints(parameter));
  return add_parameter(macro, std::move(parameter), enumerator);
}

Result<void> DeclarationReader::parse_default(Parameter& parameter, std::string& enumerator) {
  switch (parameter.kind) {
    case ParameterKind::kInt: {
      FMS_TRY(const std::int64_t value, cursor_.take_integer("an integer as the default"));
      parameter.default_value = Value::integer(value);
      return {};
    }
    case ParameterKind::kBool: {
      const bool value = cursor_.token().text == "true";
      if (cursor_.token().kind != Kind::kIdentifier ||
          (!value && cursor_.token().text != "false")) {
        return cursor_.expected("true or false as the default");
      }
      cursor_.advance();
      parameter.default_value = Value::boolean(value);
      return {};
    }
    case ParameterKind::kFloat: {
      FMS_TRY(const double value, cursor_.take_floating("a finite number as the default"));
      parameter.default_value = Value::floating(value);
      return {};
    }
    case ParameterKind::kDType: {
      FMS_TRY(parameter.default_value, cursor_.take_dtype("a dtype as the default"));
      return {};
    }
    case ParameterKind::kEnum: {
      FMS_TRY(enumerator, cursor_.take_name("an enumerator as the default"));
      return {};
    }
    case ParameterKind::kSize:
      break;
  }
  return {};
}

Result<void> DeclarationReader::parse_constraints(Parameter& parameter) {
  const bool counts =
      parameter.kind == ParameterKind::kInt || parameter.kind == ParameterKind::kSize;
  const bool lists = parameter.kind == ParameterKind::kInt ||
                     parameter.kind == ParameterKind::kDType ||
                     parameter.kind == ParameterKind::kEnum;
  const std::string possible = counts && lists ? "range(...), divisible(...) or choices(...)"
                               : counts        ? "range(...) or divisible(...)"
                               : lists         ? "choices(...)"
                                               : "no constraint";
  std::vector<std::string> seen;
  while (cursor_.at(',')) {
    cursor_.advance();
    const SourceToken first = cursor_.token();
    FMS_TRY(const std::string name, cursor_.take_name(possible));
    if (std::ranges::find(seen, name) != seen.end()) {
      return cursor_.error_at(first, fmt::format("a second {} of {}", name, parameter.name));
    }
    seen.push_back(name);
    if (name == "range" && counts) {
      FMS_TRY_VOID(parse_range(parameter));
    } else if (name == "divisible" && counts) {
      FMS_TRY_VOID(parse_divisible(parameter));
    } else if (name == "choices" && lists) {
      FMS_TRY_VOID(parse_choices(parameter));
    } else {
      return cursor_.error_at(first, fmt::format("a {} parameter takes {}, not '{}'",
                                                 to_string(parameter.kind), possible, name));
    }
  }
  return cursor_.take(')', fmt::format("or ',' and {} after the description", possible));
}

Result<void> DeclarationReader::parse_range(Parameter& parameter) {
  FMS_TRY_VOID(cursor_.take('(', "after range"));
  const SourceToken first = cursor_.token();
  FMS_TRY(const std::int64_t minimum, cursor_.take_integer("the least value, an integer"));
  FMS_TRY_VOID(cursor_.take(',', "between the bounds of range"));
  FMS_TRY(const std::int64_t maximum, cursor_.take_integer("the greatest value, an integer"));
  if (minimum > maximum) {
    return cursor_.error_at(first, fmt::format("range({}, {}) holds no value", minimum, maximum));
  }
  if (parameter.kind == ParameterKind::kSize && minimum < 0) {
    return cursor_.error_at(first, "a size can't be negative");
  }
  parameter.minimum = minimum;
  parameter.maximum = maximum;
  return cursor_.take(')', "after the bounds of range");
}

Result<void> DeclarationReader::parse_divisible(Parameter& parameter) {
  FMS_TRY_VOID(cursor_.take('(', "after divisible"));
  const SourceToken first = cursor_.token();
  FMS_TRY(parameter.divisor, cursor_.take_integer("a divisor, an integer"));
  if (parameter.divisor < 1) return cursor_.error_at(first, "a divisor is at least 1");
  return cursor_.take(')', "after the divisor");
}

Result<void> DeclarationReader::parse_choices(Parameter& parameter) {
  FMS_TRY_VOID(cursor_.take('(', "after choices"));
  for (;;) {
    FMS_TRY_VOID(parse_choice(parameter));
    if (!cursor_.at(',')) return cursor_.take(')', "or ',' after a choice");
    cursor_.advance();
  }
}

Result<void> DeclarationReader::parse_choice(Parameter& parameter) {
  const SourceToken first = cursor_.token();
  if (parameter.allowed.size() + parameter.choices.size() >= kMostChoices) {
    return cursor_.error_at(first, fmt::format("more than {} choices", kMostChoices));
  }
  bool repeated = false;
  if (parameter.kind == ParameterKind::kEnum) {
    FMS_TRY(std::string name, cursor_.take_name("an enumerator"));
    // Two names that parse() takes for one are refused, too: kTopLeft and kTop_Left.
    repeated = parameter.parse(name).has_value();
    parameter.choices.push_back(std::move(name));
  } else {
    Value value = Value::integer(0);
    if (parameter.kind == ParameterKind::kDType) {
      FMS_TRY(value, cursor_.take_dtype("a dtype"));
    } else {
      FMS_TRY(const std::int64_t number, cursor_.take_integer("an integer"));
      value = Value::integer(number);
    }
    repeated = std::ranges::find(parameter.allowed, value) != parameter.allowed.end();
    parameter.allowed.push_back(value);
  }
  if (repeated) return cursor_.error_at(first, fmt::format("a choice twice: {}", shown(first)));
  return {};
}

Result<void> DeclarationReader::add_parameter(const SourceToken& macro, Parameter parameter,
                                              const std::string& enumerator) {
  if (result_.parameters.size() >= kMostParameters) {
    return cursor_.error_at(macro, fmt::format("more than {} parameters", kMostParameters));
  }
  const auto clashes = [&](const std::string& name) {
    return !name.empty() && std::ranges::any_of(result_.parameters, [&](const Parameter& other) {
      return other.name == name || other.enum_type == name;
    });
  };
  for (const std::string& name : {parameter.name, parameter.enum_type}) {
    if (clashes(name) || (name == parameter.name && name == parameter.enum_type)) {
      return cursor_.error_at(macro, fmt::format("{} is declared twice", name));
    }
  }
  if (parameter.kind == ParameterKind::kEnum) {
    if (parameter.choices.empty()) {
      return cursor_.error_at(
          macro, fmt::format("{} needs choices(...): its enumerators", parameter.name));
    }
    const auto found = std::ranges::find(parameter.choices, enumerator);
    if (found == parameter.choices.end()) {
      return cursor_.error_at(
          macro, fmt::format("the default {} of {} isn't one of {}", enumerator, parameter.name,
                             fmt::join(parameter.choices, ", ")));
    }
    parameter.default_value = Value::choice(static_cast<int>(found - parameter.choices.begin()));
  }
  if (const auto checked = parameter.check(parameter.default_value); !checked) {
    return cursor_.error_at(macro, "the default is refused: " + checked.error().message);
  }
  result_.parameters.push_back(std::move(parameter));
  return {};
}

}  // namespace fms
