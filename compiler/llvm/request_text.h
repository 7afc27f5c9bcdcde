#pragma once

#include <span>
#include <string>
#include <string_view>

#include "compiler/compile_log.h"
#include "compiler/compile_request.h"

namespace fms::cpu {

// What the translation unit is called in messages.
std::string unit_name(const CompileRequest& request);

bool has_option(const CompileRequest& request, std::string_view option);

// For logs: kernel, target, versions, options, the failing lines, the unit and the whole log.
std::string failure_detail(const CompileRequest& request, std::span<const Diagnostic> errors,
                           std::string_view log);

}  // namespace fms::cpu
