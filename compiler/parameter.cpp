#include "compiler/parameter.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace fms {
namespace {

constexpr std::size_t kQuoted = 80;  // characters of a caller's text that an error repeats

// "kCausalTopLeft" and "causal_top_left" are one name to a person at a command line.
std::string folded(std::string_view name) {
  if (name.size() > 1 && name[0] == 'k' && name[1] >= 'A' && name[1] <= 'Z') name.remove_prefix(1);
  std::string text;
  for (const char c : name) {
    if (c == '_' || c == '-') continue;
    text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

std::string type_name(const Value& value) {
  if (value.is_integer()) return "an integer";
  if (value.is_boolean()) return "a bool";
  if (value.is_floating()) return "a float";
  if (value.is_dtype()) return "a dtype";
  if (value.is_choice()) return "an enumerator";
  return "dynamic";
}

bool has_type(const Value& value, ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kInt:
      return value.is_integer();
    case ParameterKind::kBool:
      return value.is_boolean();
    case ParameterKind::kFloat:
      return value.is_floating();
    case ParameterKind::kDType:
      return value.is_dtype();
    case ParameterKind::kEnum:
      return value.is_choice();
    case ParameterKind::kSize:
      return value.is_integer() || value.is_dynamic();
  }
  return false;
}

std::string range_text(const Parameter& parameter) {
  if (parameter.minimum && parameter.maximum) {
    return fmt::format("{}..{}", *parameter.minimum, *parameter.maximum);
  }
  if (parameter.minimum) return fmt::format("at least {}", *parameter.minimum);
  if (parameter.maximum) return fmt::format("at most {}", *parameter.maximum);
  return {};
}

// What a value must be, without the default: "int, 32..1024, a multiple of 32".
std::string constraints_text(const Parameter& parameter) {
  std::string text(to_string(parameter.kind));
  if (const std::string range = range_text(parameter); !range.empty()) text += ", " + range;
  if (parameter.divisor != 1) text += fmt::format(", a multiple of {}", parameter.divisor);
  std::string list;
  for (const Value& value : parameter.allowed) {
    list += (list.empty() ? "" : " or ") + parameter.to_string(value);
  }
  for (const std::string& choice : parameter.choices) {
    list += (list.empty() ? "" : " or ") + choice;
  }
  if (!list.empty()) text += ", " + list;
  if (parameter.kind == ParameterKind::kSize) text += ", or dynamic";
  return text;
}

// True for a value of the right type that violates a constraint.
bool out_of_bounds(const Parameter& parameter, const Value& value) {
  if (value.is_dynamic()) return false;
  if (value.is_floating()) {
    // The device sees a float: a magnitude beyond it would become infinite there.
    return !(std::abs(value.as_floating()) <= std::numeric_limits<float>::max());
  }
  if (value.is_choice()) {
    return value.as_choice() < 0 ||
           static_cast<std::size_t>(value.as_choice()) >= parameter.choices.size();
  }
  if (value.is_dtype() && static_cast<int>(value.as_dtype()) >= kDTypeCount) return true;
  if (value.is_integer()) {
    const std::int64_t number = value.as_integer();
    if (parameter.minimum && number < *parameter.minimum) return true;
    if (parameter.maximum && number > *parameter.maximum) return true;
    if (parameter.divisor > 1 && number % parameter.divisor != 0) return true;
  }
  return !parameter.allowed.empty() &&
         std::ranges::find(parameter.allowed, value) == parameter.allowed.end();
}

}  // namespace

std::string_view to_string(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kInt:
      return "int";
    case ParameterKind::kBool:
      return "bool";
    case ParameterKind::kFloat:
      return "float";
    case ParameterKind::kDType:
      return "dtype";
    case ParameterKind::kEnum:
      return "enum";
    case ParameterKind::kSize:
      return "size";
  }
  return "int";
}

Value Value::floating(double value) { return {Tag::kFloating, std::bit_cast<std::int64_t>(value)}; }

double Value::as_floating() const { return std::bit_cast<double>(bits_); }

std::uint64_t Value::hash() const {
  // splitmix64's mixing: neighbouring integers differ in every bit.
  std::uint64_t x = static_cast<std::uint64_t>(bits_) +
                    0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(tag_) + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Result<Value> Parameter::parse(std::string_view text) const {
  std::int64_t integer = 0;
  double floating = 0;
  switch (kind) {
    case ParameterKind::kSize:
      if (text == "dynamic") return Value::dynamic();
      [[fallthrough]];
    case ParameterKind::kInt:
      if (read_number(text, integer)) return Value::integer(integer);
      break;
    case ParameterKind::kBool:
      if (text == "true" || text == "True" || text == "1") return Value::boolean(true);
      if (text == "false" || text == "False" || text == "0") return Value::boolean(false);
      break;
    case ParameterKind::kFloat:
      if (read_number(text, floating)) return Value::floating(floating);
      break;
    case ParameterKind::kDType:
      if (const auto type = parse_dtype(text)) return Value::dtype(*type);
      break;
    case ParameterKind::kEnum: {
      auto found = std::ranges::find(choices, text);
      if (found == choices.end()) found = std::ranges::find(choices, folded(text), folded);
      if (found != choices.end()) {
        return Value::choice(static_cast<int>(found - choices.begin()));
      }
      break;
    }
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't read \"{}\" as a value of {}: expected {}",
                          text.substr(0, kQuoted), name, constraints_text(*this)));
}

Result<void> Parameter::check(const Value& value) const {
  if (!has_type(value, kind)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} can't be {}: expected {}", name, type_name(value),
                            constraints_text(*this)));
  }
  if (out_of_bounds(*this, value)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} can't be {}: expected {}", name, to_string(value),
                            constraints_text(*this)));
  }
  return {};
}

std::string Parameter::to_string(const Value& value) const {
  if (value.is_integer()) return fmt::format("{}", value.as_integer());
  if (value.is_boolean()) return value.as_boolean() ? "true" : "false";
  if (value.is_floating()) {
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                   value.as_floating());  // the shortest that reads back the same
    return {buffer.data(), end.ptr};
  }
  if (value.is_dtype()) {
    const int index = static_cast<int>(value.as_dtype());
    return index >= 0 && index < kDTypeCount ? std::string(fms::to_string(value.as_dtype()))
                                             : fmt::format("dtype {}", index);
  }
  if (value.is_choice()) {
    const auto index = static_cast<std::size_t>(value.as_choice());
    return index < choices.size() ? choices[index]
                                  : fmt::format("enumerator {}", value.as_choice());
  }
  return "dynamic";
}

std::string Parameter::describe() const {
  return fmt::format("{}, default {}", constraints_text(*this), to_string(default_value));
}

}  // namespace fms
