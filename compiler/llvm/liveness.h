#pragma once

#include <llvm/ADT/BitVector.h>
#include <llvm/ADT/DenseMap.h>

#include "compiler/llvm/cut.h"

namespace fms::cpu {

// Which variables hold something that is still needed where a block of a cut function begins. By
// number: a variable's index in CutFunction::variables.
class Liveness {
 public:
  explicit Liveness(const CutFunction& cut);

  // The variable that an instruction loads or stores; -1: none.
  int variable_of(const llvm::Instruction& instruction) const;

  const llvm::BitVector& live_in(const llvm::BasicBlock* block) const {
    return blocks_.find(block)->second.live_in;
  }

 private:
  struct Block {
    llvm::BitVector reads_first, writes, live_in;
  };
  void look_at(const llvm::BasicBlock& block, unsigned count);
  void spread(unsigned count);

  llvm::DenseMap<const llvm::Value*, unsigned> numbers_;
  llvm::DenseMap<const llvm::BasicBlock*, Block> blocks_;
};

}  // namespace fms::cpu
