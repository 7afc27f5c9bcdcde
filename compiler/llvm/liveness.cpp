#include "compiler/llvm/liveness.h"

#include <llvm/IR/CFG.h>

namespace fms::cpu {

using llvm::BasicBlock;
using llvm::Instruction;

Liveness::Liveness(const CutFunction& cut) {
  const auto count = static_cast<unsigned>(cut.variables.size());
  for (unsigned i = 0; i < count; ++i) numbers_[cut.variables[i].memory] = i;
  for (const BasicBlock& block : *cut.function) look_at(block, count);
  spread(count);
}

int Liveness::variable_of(const Instruction& instruction) const {
  const llvm::Value* memory = llvm::getLoadStorePointerOperand(&instruction);
  if (memory == nullptr) return -1;
  const auto found = numbers_.find(memory);
  return found == numbers_.end() ? -1 : static_cast<int>(found->second);
}

void Liveness::look_at(const BasicBlock& block, unsigned count) {
  Block& facts = blocks_[&block];
  facts.reads_first.resize(count);
  facts.writes.resize(count);
  facts.live_in.resize(count);
  for (const Instruction& instruction : block) {
    const int variable = variable_of(instruction);
    if (variable < 0) continue;
    const auto number = static_cast<unsigned>(variable);
    if (llvm::isa<llvm::StoreInst>(instruction)) {
      facts.writes.set(number);
    } else if (!facts.writes.test(number)) {
      facts.reads_first.set(number);
    }
  }
}

void Liveness::spread(unsigned count) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (auto& [block, facts] : blocks_) {
      llvm::BitVector live(count);
      for (const BasicBlock* next : llvm::successors(block)) {
        live |= blocks_.find(next)->second.live_in;
      }
      live.reset(facts.writes);
      live |= facts.reads_first;
      if (live != facts.live_in) {
        facts.live_in = live;
        changed = true;
      }
    }
  }
}

}  // namespace fms::cpu
