#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "compiler/specialization.h"
#include "compiler/version.h"

namespace fms {
namespace {

constexpr std::string_view kMacroPrefix = "FMS_VALUE_";

std::string integer_constant(const Parameter& parameter, std::int64_t value) {
  // -2147483648 in C++ is minus a long long, and -9223372036854775808 is no literal at all.
  if (value == std::numeric_limits<std::int64_t>::min()) {
    return fmt::format("constexpr long long {} = {}LL - 1;\n", parameter.name, value + 1);
  }
  if (value > std::numeric_limits<std::int32_t>::max() ||
      value <= std::numeric_limits<std::int32_t>::min()) {
    return fmt::format("constexpr long long {} = {}LL;\n", parameter.name, value);
  }
  return fmt::format("constexpr int {} = {};\n", parameter.name, value);
}

// Hexadecimal is exact: no compiler's rounding decides the bits. The decimal is for people.
std::string floating_constant(const Parameter& parameter, const Value& value) {
  return fmt::format("constexpr float {} = {:a}f;  // {}\n", parameter.name,
                     static_cast<float>(value.as_floating()), parameter.to_string(value));
}

std::string enum_constant(const Parameter& parameter, const Value& value) {
  return fmt::format("enum class {0} {{ {1} }};\nconstexpr {0} {2} = {0}::{3};\n",
                     parameter.enum_type, fmt::join(parameter.choices, ", "), parameter.name,
                     parameter.to_string(value));
}

std::string constant(const Parameter& parameter, const Value& value) {
  switch (parameter.kind) {
    case ParameterKind::kInt:
      return integer_constant(parameter, value.as_integer());
    case ParameterKind::kBool:
      return fmt::format("constexpr bool {} = {};\n", parameter.name, value.as_boolean());
    case ParameterKind::kFloat:
      return floating_constant(parameter, value);
    case ParameterKind::kDType:
      return fmt::format("using {} = {};\n", parameter.name, device_spelling(value.as_dtype()));
    case ParameterKind::kEnum:
      return enum_constant(parameter, value);
    case ParameterKind::kSize:
      break;
  }
  return fmt::format("constexpr fms::Size<{}> {}{{}};\n",
                     value.is_dynamic() ? "fms::kDynamic" : fmt::format("{}", value.as_integer()),
                     parameter.name);
}

// The parameters of which files of the template name macros (fms/parameter.cuh). Most name none,
// and a unit is to be short: people read it in a failing log.
std::set<std::string_view> names_of_macros(const KernelTemplate& kernel_template) {
  constexpr std::string_view kOfNames =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  std::set<std::string_view> names;
  for (const SourceFile& file : kernel_template.headers()) {
    const std::string_view text = file.text;
    for (std::size_t at = text.find(kMacroPrefix); at != text.npos;
         at = text.find(kMacroPrefix, at)) {
      at += kMacroPrefix.size();
      const std::size_t end = std::min(text.find_first_not_of(kOfNames, at), text.size());
      names.insert(text.substr(at, end - at));
    }
  }
  return names;
}

std::string macro(const Parameter& parameter, const Value& value) {
  if (parameter.kind == ParameterKind::kBool) {
    return fmt::format("#define {}{} {:d}\n", kMacroPrefix, parameter.name, value.as_boolean());
  }
  if (parameter.kind != ParameterKind::kInt) return {};
  const std::int64_t number = value.as_integer();
  const bool lowest = number == std::numeric_limits<std::int64_t>::min();  // is no literal
  return lowest ? fmt::format("#define {}{} ({} - 1)\n", kMacroPrefix, parameter.name, number + 1)
                : fmt::format("#define {}{} {}\n", kMacroPrefix, parameter.name, number);
}

}  // namespace

std::string_view version() { return FMS_VERSION; }

std::string render(const Specialization& specialization) {
  const KernelTemplate& kernel_template = specialization.kernel_template();
  const std::set<std::string_view> named = names_of_macros(kernel_template);
  std::set<std::string_view> headers;
  std::string constants, macros;
  for (std::size_t i = 0; i < specialization.values().size(); ++i) {
    const Value& value = specialization.values()[i];
    const Parameter& parameter = kernel_template.parameters()[i];
    constants += constant(parameter, value);
    if (named.contains(parameter.name)) macros += macro(parameter, value);
    if (value.is_dtype()) headers.insert(device_header(value.as_dtype()));
  }
  headers.erase("");
  // All that stands in front of the constants is the same for many kernels: a precompiled header
  // serves all of them.
  std::string unit =
      fmt::format("// {}, specialised by FlashMoE-Science {}\n", kernel_template.name(), version());
  unit += "#define FMS_SPECIALIZED 1\n";
  for (const std::string_view header : headers) unit += fmt::format("#include <{}>\n", header);
  unit += "#include \"fms/parameter.cuh\"\n\n";
  if (!constants.empty()) unit += constants + macros + "\n";
  return unit + fmt::format("#include \"{}\"\n", kernel_template.file_name());
}

}  // namespace fms
