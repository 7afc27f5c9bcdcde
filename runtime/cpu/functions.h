#pragma once

// Internal. Not installed.

#include <memory>
#include <string>

#include "compiler/llvm_library.h"
#include "compiler/object_code.h"
#include "compiler/result.h"
#include "runtime/driver.h"

namespace fms::cpu {

// Links `object` and checks that it is what this runtime can run; the message of a failure begins
// with `what`. The CUlibrary has the one kernel that the object says is its entry, and keeps
// `llvm`.
Result<CUlibrary> load_library(std::shared_ptr<const LlvmLibrary> llvm, const ObjectCode& object,
                               std::string_view what);

// Fills in the functions of libraries, kernels and launches. A launch has run when it returns: it
// returns CUDA_ERROR_ASSERT or CUDA_ERROR_LAUNCH_FAILED for a kernel that failed, and the next one
// is none the worse for it.
void set_function_functions(DriverFunctions& call);

// What the calling thread's last launch failed of: for the message of those two codes.
const std::string& last_failure();

}  // namespace fms::cpu
