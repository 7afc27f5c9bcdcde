#pragma once

#include <llvm/IR/Function.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include "compiler/kernel_profile.h"

namespace fms::cpu {

// Has special functions stay calls, that are written out in the prelude: to a GPU they are one
// operation or a few. For a module that is to be profiled, before prepare().
void keep_functions(llvm::Module& module);

// Counts in `thread`, the function that runs one thread, as prepare() leaves it; changes it. `out`
// has the launch bounds already.
void profile(llvm::Function& thread, llvm::TargetMachine& machine, const ProfileOptions& options,
             KernelProfile& out);

}  // namespace fms::cpu
