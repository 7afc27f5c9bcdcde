#include "compiler/llvm/cut.h"

#include <llvm/ADT/DenseMap.h>
#include <llvm/ADT/SetVector.h>
#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>
#include <llvm/Transforms/Utils/Local.h>

#include "compiler/llvm/source_place.h"
#include "compiler/llvm/uniformity.h"

namespace fms::cpu {
namespace {

using llvm::BasicBlock;
using llvm::Instruction;
using llvm::Value;

// Instructions that are computed anew rather than kept. A value in the frame costs a load and a
// store each, and what is known of its address is lost.
constexpr int kMostRecomputed = 12;

constexpr int kManyValues = 8;  // that a loop carries from one round to the next

bool is_cheap(const Instruction& instruction) {
  switch (instruction.getOpcode()) {
    case Instruction::Add:
    case Instruction::Sub:
    case Instruction::Mul:
    case Instruction::And:
    case Instruction::Or:
    case Instruction::Xor:
    case Instruction::Shl:
    case Instruction::LShr:
    case Instruction::AShr:
    case Instruction::ZExt:
    case Instruction::SExt:
    case Instruction::Trunc:
    case Instruction::ICmp:
    case Instruction::Select:
    case Instruction::GetElementPtr:
    case Instruction::PtrToInt:
    case Instruction::IntToPtr:
    case Instruction::AddrSpaceCast:
      return true;
    case Instruction::UDiv:
    case Instruction::SDiv:
    case Instruction::URem:
    case Instruction::SRem: {
      const auto* divisor = llvm::dyn_cast<llvm::ConstantInt>(instruction.getOperand(1));
      return divisor != nullptr && !divisor->isZero() && !divisor->isMinusOne();
    }
    default:
      return place_of(&instruction).has_value() || is_argument_load(instruction);
  }
}

// True if `value` can be computed anew anywhere, within the budget.
bool can_recompute(const Value* value, int& budget) {
  const auto* instruction = llvm::dyn_cast<Instruction>(value);
  if (instruction == nullptr) return !llvm::isa<BasicBlock>(value);
  if (--budget < 0 || !is_cheap(*instruction)) return false;
  if (place_of(instruction)) return true;
  return llvm::all_of(instruction->operands(), [&](const llvm::Use& operand) {
    return can_recompute(operand.get(), budget);
  });
}

Value* recompute(Value* value, Instruction* before, llvm::DenseMap<Value*, Value*>& done) {
  auto* instruction = llvm::dyn_cast<Instruction>(value);
  if (instruction == nullptr) return value;
  if (Value* known = done.lookup(value)) return known;
  Instruction* copy = instruction->clone();
  for (llvm::Use& operand : copy->operands()) operand.set(recompute(operand.get(), before, done));
  copy->insertBefore(before);
  done[value] = copy;
  return copy;
}

class Cutter {
 public:
  explicit Cutter(llvm::Function& function) : function_(function), uniformity_(function) {
    result_.function = &function;
  }

  CutFunction run() {
    collect_privates();
    result_.points.push_back({.continuation = &function_.getEntryBlock()});
    mark_loop_heads();
    split_at_suspensions();
    keep_what_crosses();
    return std::move(result_);
  }

 private:
  void collect_privates() {
    llvm::SmallVector<Instruction*, 16> dead;
    for (Instruction& instruction : llvm::instructions(function_)) {
      instruction.dropDbgRecords();
      if (auto* memory = llvm::dyn_cast<llvm::AllocaInst>(&instruction)) {
        result_.privates.push_back(memory);
      } else if (instruction.isLifetimeStartOrEnd() ||
                 llvm::isa<llvm::DbgInfoIntrinsic>(instruction) ||
                 llvm::isa<llvm::NoAliasScopeDeclInst>(instruction)) {
        // In the frame, memory lives as long as its thread; and marks that look like accesses to
        // memory would keep loops from being taken for parallel.
        dead.push_back(&instruction);
      }
    }
    for (Instruction* instruction : dead) instruction->eraseFromParent();
  }

  void mark_loop_heads() {
    llvm::DominatorTree dominators(function_);
    llvm::LoopInfo loops(dominators);
    llvm::FunctionCallee head = function_.getParent()->getOrInsertFunction(
        kLoopHead, llvm::Type::getVoidTy(function_.getContext()));
    for (llvm::Loop* loop : loops.getLoopsInPreorder()) {
      const bool is_cut = llvm::any_of(loop->blocks(), [&](const BasicBlock* block) {
        return llvm::any_of(*block, [&](const Instruction& instruction) {
          const auto suspension = suspension_of(instruction);
          // An inner loop's head cuts the outer one only for as long as the inner one runs.
          return suspension && suspension->wait != Wait::kNothing;
        });
      });
      BasicBlock* header = loop->getHeader();
      // What a large loop carries would else be written at the end of every region that leads into
      // it, once for each way through it.
      const bool is_large =
          std::distance(header->phis().begin(), header->phis().end()) >= kManyValues;
      if (is_cut && !is_large) continue;
      const llvm::DebugLoc place = loop->getStartLoc();
      while (auto* phi = llvm::dyn_cast<llvm::PHINode>(&header->front())) {
        const bool uniform = uniformity_.is_uniform(phi);
        if (llvm::AllocaInst* memory = llvm::DemotePHIToStack(phi, alloca_point())) {
          result_.variables.push_back({memory, uniform});
          for (const llvm::User* user : memory->users()) {
            added_.insert(user);
            if (uniform) uniform_.insert(user);
          }
        }
      }
      llvm::IRBuilder<> builder(header, header->begin());
      builder.CreateCall(head)->setDebugLoc(place);
    }
  }

  void split_at_suspensions() {
    llvm::SmallVector<llvm::CallInst*, 32> calls;
    for (Instruction& instruction : llvm::instructions(function_)) {
      if (suspension_of(instruction)) calls.push_back(llvm::cast<llvm::CallInst>(&instruction));
    }
    llvm::Type* word = llvm::Type::getInt64Ty(function_.getContext());
    llvm::FunctionCallee taken = function_.getParent()->getOrInsertFunction(kTaken, word);
    for (llvm::CallInst* call : calls) {
      BasicBlock* continuation = llvm::SplitBlock(call->getParent(), call->getNextNode());
      CutPoint point{
          .suspension = *suspension_of(*call), .call = call, .continuation = continuation};
      const SourcePlace place = place_in_source(call->getDebugLoc());
      point.file = place.file;
      point.line = place.line;
      if (!call->use_empty()) {
        llvm::IRBuilder<> builder(continuation, continuation->begin());
        llvm::CallInst* value = builder.CreateCall(taken);
        if (uniformity_.is_uniform(call)) uniform_.insert(value);
        Value* result = builder.CreateTruncOrBitCast(value, call->getType());
        if (uniformity_.is_uniform(call)) uniform_.insert(result);
        call->replaceAllUsesWith(result);
        added_.insert(value);
        added_.insert(result);
      }
      result_.points.push_back(std::move(point));
    }
    for (const CutPoint& point : result_.points) continuations_.insert(point.continuation);
  }

  bool is_uniform(const Value* value) const {
    return added_.contains(value) ? uniform_.contains(value) : uniformity_.is_uniform(value);
  }

  // True if a thread can be suspended between `def` and the end of `use`.
  bool crosses(const BasicBlock* def, const BasicBlock* use) {
    const auto [known, is_new] = crossings_.try_emplace({def, use}, false);
    if (!is_new) return known->second;
    llvm::SmallPtrSet<const BasicBlock*, 32> seen;
    llvm::SmallVector<const BasicBlock*, 32> work{use};
    bool found = false;
    while (!work.empty() && !found) {
      const BasicBlock* block = work.pop_back_val();
      if (block == def || !seen.insert(block).second) continue;
      found = continuations_.contains(block);
      for (const BasicBlock* before : llvm::predecessors(block)) work.push_back(before);
    }
    crossings_[{def, use}] = found;
    return found;
  }

  static BasicBlock* block_of(const llvm::Use& use) {
    auto* user = llvm::cast<Instruction>(use.getUser());
    if (auto* phi = llvm::dyn_cast<llvm::PHINode>(user)) return phi->getIncomingBlock(use);
    return user->getParent();
  }

  void keep_what_crosses() {
    llvm::SetVector<Instruction*> kept;
    llvm::SmallVector<llvm::Use*, 16> crossing;
    llvm::SmallVector<Instruction*, 256> all;
    for (Instruction& instruction : llvm::instructions(function_)) all.push_back(&instruction);
    for (Instruction* instruction : all) {
      if (llvm::isa<llvm::AllocaInst>(instruction)) continue;
      crossing.clear();
      for (llvm::Use& use : instruction->uses()) {
        if (crosses(instruction->getParent(), block_of(use))) crossing.push_back(&use);
      }
      if (crossing.empty()) continue;
      int budget = kMostRecomputed;
      if (can_recompute(instruction, budget)) {
        recompute_at(*instruction, crossing);
      } else {
        kept.insert(instruction);
      }
    }
    for (Instruction* instruction : kept) {
      const bool uniform = is_uniform(instruction);
      if (llvm::AllocaInst* memory =
              llvm::DemoteRegToStack(*instruction, /*VolatileLoads=*/false, alloca_point())) {
        result_.variables.push_back({memory, uniform});
      }
    }
    for (Instruction* instruction : all) {
      if (!kept.contains(instruction) && llvm::isInstructionTriviallyDead(instruction)) {
        instruction->eraseFromParent();
      }
    }
  }

  static void recompute_at(Instruction& instruction, llvm::ArrayRef<llvm::Use*> uses) {
    for (llvm::Use* use : uses) {
      auto* user = llvm::cast<Instruction>(use->getUser());
      Instruction* before = llvm::isa<llvm::PHINode>(user) ? block_of(*use)->getTerminator() : user;
      llvm::DenseMap<Value*, Value*> done;
      Value* copy = recompute(&instruction, before, done);
      // A phi has one value for each block that it is reached from, however many edges there are.
      if (auto* phi = llvm::dyn_cast<llvm::PHINode>(user)) {
        phi->setIncomingValueForBlock(block_of(*use), copy);
      } else {
        use->set(copy);
      }
    }
  }

  BasicBlock::iterator alloca_point() { return function_.getEntryBlock().getFirstInsertionPt(); }

  llvm::Function& function_;
  const Uniformity uniformity_;
  CutFunction result_;
  llvm::SmallPtrSet<const Value*, 16> added_, uniform_;
  llvm::SmallPtrSet<const BasicBlock*, 32> continuations_;
  llvm::DenseMap<std::pair<const BasicBlock*, const BasicBlock*>, bool> crossings_;
};

}  // namespace

bool is_argument_load(const llvm::Instruction& instruction) {
  const auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction);
  return load != nullptr && !load->isVolatile() && !load->isAtomic() &&
         llvm::isa<llvm::Argument>(load->getPointerOperand()->stripInBoundsConstantOffsets());
}

CutFunction cut(llvm::Function& function) { return Cutter(function).run(); }

}  // namespace fms::cpu
