#include "compiler/llvm/uniformity.h"

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>

#include "compiler/llvm/intrinsics.h"

namespace fms::cpu {
namespace {

using llvm::BasicBlock;
using llvm::Instruction;

bool has_several_ways(const Instruction& instruction) {
  return instruction.isTerminator() && instruction.getNumSuccessors() > 1;
}

// The predecessors of `join` that can be reached from `from` without passing through `join`.
llvm::SmallPtrSet<const BasicBlock*, 8> ways_into(const BasicBlock& join, const BasicBlock& from) {
  llvm::SmallPtrSet<const BasicBlock*, 8> ways;
  llvm::SmallPtrSet<const BasicBlock*, 32> seen;
  llvm::SmallVector<const BasicBlock*, 32> work;
  for (const BasicBlock* next : llvm::successors(&from)) {
    if (next == &join) {
      ways.insert(&from);
    } else if (seen.insert(next).second) {
      work.push_back(next);
    }
  }
  while (!work.empty()) {
    const BasicBlock* block = work.pop_back_val();
    for (const BasicBlock* next : llvm::successors(block)) {
      if (next == &join) {
        ways.insert(block);
      } else if (seen.insert(next).second) {
        work.push_back(next);
      }
    }
  }
  return ways;
}

}  // namespace

Uniformity::Uniformity(llvm::Function& function)
    : function_(function), dominators_(function), loops_(dominators_) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (const Instruction& instruction : llvm::instructions(function)) {
      if (divergent_.contains(&instruction)) continue;
      if (is_source(instruction) || depends_on_divergent(instruction)) {
        divergent_.insert(&instruction);
        changed = true;
      }
    }
  }
}

bool Uniformity::is_source(const Instruction& instruction) const {
  if (llvm::isa<llvm::AllocaInst>(instruction)) return true;  // each thread has its own
  if (instruction.isAtomic() || instruction.isVolatile()) return true;
  if (const auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
    // What a thread keeps for itself may differ, whatever the address says.
    const llvm::Value* base = llvm::getUnderlyingObject(load->getPointerOperand());
    return llvm::isa<llvm::AllocaInst>(base);
  }
  const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
  if (call == nullptr) return false;
  // A region is run by threads of one row: y and z are the same for all of them.
  if (const auto place = place_of(call)) {
    return *place == Place::kThreadX || *place == Place::kThread;
  }
  if (const auto suspension = suspension_of(*call)) return suspension->wait != Wait::kBlock;
  return !call->doesNotAccessMemory();
}

bool Uniformity::depends_on_divergent(const Instruction& instruction) const {
  if (left_divergent_loop(instruction)) return true;
  if (const auto* phi = llvm::dyn_cast<llvm::PHINode>(&instruction)) {
    for (const llvm::Value* value : phi->incoming_values()) {
      if (divergent_.contains(value)) return true;
    }
    return phi_is_decided_by_divergent(*phi);
  }
  // What a block-wide operation gives is the same for all, whatever they offered.
  if (const auto suspension = suspension_of(instruction);
      suspension && suspension->wait == Wait::kBlock) {
    return false;
  }
  for (const llvm::Use& operand : instruction.operands()) {
    if (divergent_.contains(operand.get())) return true;
  }
  return false;
}

// A branch decides a phi if its sides can come to the phi from different blocks.
bool Uniformity::phi_is_decided_by_divergent(const llvm::PHINode& phi) const {
  const BasicBlock& join = *phi.getParent();
  if (phi.hasConstantValue() != nullptr) return false;
  for (const BasicBlock& block : function_) {
    const Instruction* branch = block.getTerminator();
    if (!has_several_ways(*branch) || !divergent_.contains(branch)) continue;
    if (ways_into(join, block).size() > 1) return true;
  }
  return false;
}

// Threads that leave a loop in different rounds take different values out of it, even such as are
// uniform in each round.
bool Uniformity::left_divergent_loop(const Instruction& instruction) const {
  for (const llvm::Use& operand : instruction.operands()) {
    const auto* value = llvm::dyn_cast<Instruction>(operand.get());
    if (value == nullptr) continue;
    for (const llvm::Loop* loop = loops_.getLoopFor(value->getParent());
         loop != nullptr && !loop->contains(&instruction); loop = loop->getParentLoop()) {
      llvm::SmallVector<BasicBlock*, 4> exiting;
      loop->getExitingBlocks(exiting);
      for (const BasicBlock* block : exiting) {
        if (divergent_.contains(block->getTerminator())) return true;
      }
    }
  }
  return false;
}

}  // namespace fms::cpu
