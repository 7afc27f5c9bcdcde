#include <fmt/format.h>

#include <limits>
#include <set>

#include "compiler/specialization.h"
#include "compiler/version.h"

namespace fms {
namespace {

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

}  // namespace

std::string_view version() { return FMS_VERSION; }

std::string render(const Specialization& specialization) {
  const KernelTemplate& kernel_template = specialization.kernel_template();
  std::set<std::string_view> headers;
  std::string constants;
  for (std::size_t i = 0; i < specialization.values().size(); ++i) {
    const Value& value = specialization.values()[i];
    constants += constant(kernel_template.parameters()[i], value);
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
  if (!constants.empty()) unit += constants + "\n";
  return unit + fmt::format("#include \"{}\"\n", kernel_template.file_name());
}

}  // namespace fms
