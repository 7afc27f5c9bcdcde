#include "compiler/llvm/request_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/version.h"

namespace fms::cpu {

std::string unit_name(const CompileRequest& request) { return request.entry + ".specialized.cu"; }

bool has_option(const CompileRequest& request, std::string_view option) {
  return std::ranges::find(request.options, option) != request.options.end();
}

std::string failure_detail(const CompileRequest& request, std::span<const Diagnostic> errors,
                           std::string_view log) {
  std::vector<SourceFile> sources = request.headers;
  sources.push_back({.name = unit_name(request), .text = request.source});
  return fmt::format(
      "kernel:   {}\ntarget:   {}\ncompiler: {}\nversion:  FlashMoE-Science {}\noptions:  {}\n\n"
      "{}\ntranslation unit {}:\n{}\nlog:\n{}",
      request.entry, request.target.to_string(), request.compiler, fms::version(),
      fmt::join(request.options, " "), show_errors(errors, sources), unit_name(request),
      request.source, log);
}

}  // namespace fms::cpu
