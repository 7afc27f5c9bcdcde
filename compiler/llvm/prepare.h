#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <string>

#include "compiler/llvm/instrument.h"
#include "compiler/result.h"

namespace fms::cpu {

// Brings clang's output into the form that is cut: one function that runs one thread, everything
// that waits or asks for its place inlined into it, simplified but not vectorised; variables in one
// address space, shared ones as offsets from __fms_shared().
//
// Returns the bytes of static shared memory. kCompileFailed, with file and line, for what can't run
// on a processor: inline assembly, and functions that would have to be inlined but are recursive.
Result<std::uint32_t> prepare(llvm::Module& module, const std::string& thread,
                              llvm::TargetMachine& machine, const Checks& checks);

}  // namespace fms::cpu
