// The text of a template: declarations, includes, and what is made of them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "compiler/compile_request.h"
#include "compiler/includes.h"
#include "compiler/kernel_template.h"
#include "compiler/specialization.h"
#include "compiler/template_parser.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// What is true of every template that was accepted.
void check(const std::shared_ptr<const fms::KernelTemplate>& kernel_template) {
  for (const fms::Parameter& parameter : kernel_template->parameters()) {
    const fms::Value value = parameter.default_value;
    require(parameter.check(value).has_value());
    require(parameter.parse(parameter.to_string(value)).value() == value);
    require(!parameter.describe().empty());
  }
  const auto made = fms::Specialization::make(kernel_template, {});
  require(made.has_value());
  const auto target = fms::Target::parse("sm_90a");
  const fms::CompileRequest request = fms::make_request(*made, *target, "a compiler");
  require(request.source == fms::render(*made));
  require(!fms::cache_key(request).hex().empty() && made->dynamic().dynamic() == made->dynamic());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // An include of any name finds the second half of the text, which may include again.
  const std::string rest(text.substr(size / 2));
  int files = 0;
  const fms::HeaderResolver resolver = [&](std::string_view name,
                                           std::string_view) -> std::optional<std::string> {
    if (++files > 64 || name.ends_with("none.h")) return std::nullopt;
    return rest;
  };
  const auto parsed = fms::KernelTemplate::parse("dir/fuzz.cuh", std::string(text), {}, resolver);
  if (parsed) check(*parsed);
  const auto declarations = fms::parse_declarations("fuzz.cuh", text);
  require(declarations || declarations.error().message.starts_with("fuzz.cuh:"));
  fms::scan_includes(text);
  return 0;
}
