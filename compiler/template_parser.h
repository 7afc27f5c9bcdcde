#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/parameter.h"
#include "compiler/result.h"

namespace fms {

// What the text of a template says about itself; compiler/README.md has the grammar.
struct TemplateDeclarations {
  std::string kernel, doc;            // FMS_KERNEL; empty if there is none
  std::vector<Parameter> parameters;  // in order
  bool allows_spills = false;
  bool allows_serialized_wgmma = false;
  std::vector<std::string> entries;  // extern "C" __global__ functions, each once
};

// Reads the FMS_ declarations of `text`. Pure; never reads another file. Errors are
// kInvalidArgument and begin with "file:line:column: ".
Result<TemplateDeclarations> parse_declarations(std::string_view file_name, std::string_view text);

}  // namespace fms
