#pragma once

#include <llvm/ADT/DenseSet.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Function.h>

namespace fms::cpu {

// Which values are the same in all threads of a row (equal y and z) that have come the same way
// through a function, and which depend on the thread.
//
// A value is uniform if it is computed from uniform values alone, and if no branch that depends on
// the thread decides which of several definitions it is. Threads of a row that have run the same
// sequence of regions then hold equal values, and one load serves all of them.
class Uniformity {
 public:
  explicit Uniformity(llvm::Function& function);

  bool is_uniform(const llvm::Value* value) const { return !divergent_.contains(value); }

 private:
  bool is_source(const llvm::Instruction& instruction) const;
  bool depends_on_divergent(const llvm::Instruction& instruction) const;
  bool phi_is_decided_by_divergent(const llvm::PHINode& phi) const;
  bool left_divergent_loop(const llvm::Instruction& instruction) const;

  llvm::Function& function_;
  llvm::DominatorTree dominators_;
  llvm::LoopInfo loops_;
  llvm::DenseSet<const llvm::Value*> divergent_;
};

}  // namespace fms::cpu
