#pragma once

#include <llvm/ADT/DenseMap.h>
#include <llvm/IR/Function.h>
#include <llvm/Target/TargetMachine.h>

#include <vector>

#include "compiler/kernel_profile.h"

namespace fms::cpu {

// How often a thread comes to each block of its code, on average over the threads of a launch.
struct Weights {
  llvm::DenseMap<const llvm::BasicBlock*, double> of;  // what isn't there is never come to
  std::vector<LoopProfile> loops;                      // an outer one before those inside
};

// What is decided by where a thread is, is worked out for the threads of the launch that `options`
// describe: all of a block, and a selection of blocks if there are many. Of what is decided by
// data or arguments, a condition without an else is true, both sides of another are equally likely,
// and a loop runs as often as `options` assume. Ways that end in a trap are never taken: they are
// removed from `thread`.
Weights weigh(llvm::Function& thread, llvm::TargetMachine& machine, const ProfileOptions& options);

}  // namespace fms::cpu
