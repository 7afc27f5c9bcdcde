#include "compiler/llvm/row_function.h"

#include <fmt/format.h>
#include <llvm/IR/DebugInfoMetadata.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>

#include <array>

namespace fms::cpu {
namespace {

using llvm::BasicBlock;
using llvm::Value;

class Builder {
 public:
  Builder(const RegionSource& source, const ThreadFunction& thread, unsigned number)
      : source_(source),
        types_(source.types),
        thread_(thread),
        context_(source.module.getContext()),
        group_(llvm::MDNode::getDistinct(context_, {})) {
    llvm::Type* word = types_.word;
    row_ = source.make_function(
        llvm::FunctionType::get(llvm::Type::getVoidTy(context_),
                                {types_.pointer, types_.pointer, word, word, word, word, word},
                                false),
        fmt::format("{}.state{}", source.facts.entry, number));
    // Not of the thread's function: inlining it would leave marks in the loop that look like
    // accesses to memory.
    row_->addParamAttr(0, llvm::Attribute::NoAlias);
    row_->addParamAttr(1, llvm::Attribute::NoAlias);
    if (llvm::DISubprogram* lines = source.cut.function->getSubprogram()) {
      row_->setSubprogram(llvm::MDNode::replaceWithDistinct(lines->clone()));
    }
  }

  llvm::Function* run() {
    llvm::IRBuilder<> builder(BasicBlock::Create(context_, "entry", row_));
    load_uniform(builder);
    Value* done = run_groups(builder);
    run_rest(builder, done);
    mark_parallel(*thread_.function);
    mark_parallel(*row_);
    return row_;
  }

 private:
  Value* first_lane() const { return row_->getArg(2); }
  Value* count() const { return row_->getArg(3); }
  Value* first_x() const { return row_->getArg(4); }
  llvm::ConstantInt* word(unsigned value) const {
    return llvm::ConstantInt::get(types_.word, value);
  }
  static Value* add(llvm::IRBuilder<>& builder, Value* a, Value* b) {
    return builder.CreateAdd(a, b, "", /*HasNUW=*/true, /*HasNSW=*/true);
  }

  void load_uniform(llvm::IRBuilder<>& builder) {
    if (thread_.uniform.empty()) return;
    Value* frame = types_.load_constant(builder, types_.pointer, row_->getArg(1), kFrameOffset);
    for (const unsigned variable : thread_.uniform) {
      uniform_.push_back(builder.CreateLoad(source_.type_of(variable),
                                            source_.slot(builder, frame, variable, first_lane())));
    }
  }

  // Groups of kGroup threads that begin at a multiple of it, each in a loop of a constant number of
  // rounds: thread % 16 is then a lane of a vector register, and thread / 16 the same for all of
  // them. Returns how many threads that was.
  Value* run_groups(llvm::IRBuilder<>& builder) {
    BasicBlock* before = builder.GetInsertBlock();
    BasicBlock* outer = BasicBlock::Create(context_, "group", row_);
    BasicBlock* inner = BasicBlock::Create(context_, "threads", row_);
    BasicBlock* next = BasicBlock::Create(context_, "next", row_);
    BasicBlock* after = BasicBlock::Create(context_, "rest", row_);
    Value* start = builder.CreateOr(first_lane(), first_x());
    Value* aligned = builder.CreateICmpEQ(builder.CreateAnd(start, kGroup - 1), word(0));
    Value* groups = builder.CreateSelect(aligned, builder.CreateLShr(count(), kGroupBits), word(0));
    builder.CreateCondBr(builder.CreateICmpNE(groups, word(0)), outer, after);

    builder.SetInsertPoint(outer);
    llvm::PHINode* number = builder.CreatePHI(types_.word, 2);
    number->addIncoming(word(0), before);
    Value* lane_group = add(builder, builder.CreateLShr(first_lane(), kGroupBits), number);
    Value* x_group = add(builder, builder.CreateLShr(first_x(), kGroupBits), number);
    builder.CreateBr(inner);

    builder.SetInsertPoint(inner);
    llvm::PHINode* index = builder.CreatePHI(types_.word, 2, "thread");
    index->addIncoming(word(0), outer);
    run_thread(builder, {lane_group, index, x_group, index});
    Value* following = add(builder, index, word(1));
    index->addIncoming(following, inner);
    llvm::BranchInst* back =
        builder.CreateCondBr(builder.CreateICmpULT(following, word(kGroup)), inner, next);
    back->setMetadata(llvm::LLVMContext::MD_loop, loop_facts(kGroup));

    builder.SetInsertPoint(next);
    Value* following_group = add(builder, number, word(1));
    number->addIncoming(following_group, next);
    builder.CreateCondBr(builder.CreateICmpULT(following_group, groups), outer, after);

    builder.SetInsertPoint(after);
    llvm::PHINode* done = builder.CreatePHI(types_.word, 2, "done");
    done->addIncoming(word(0), before);
    done->addIncoming(groups, next);
    return builder.CreateShl(done, kGroupBits, "", true, true);
  }

  // The threads from number `done` on.
  void run_rest(llvm::IRBuilder<>& builder, Value* done) {
    BasicBlock* before = builder.GetInsertBlock();
    BasicBlock* body = BasicBlock::Create(context_, "single", row_);
    BasicBlock* end = BasicBlock::Create(context_, "done", row_);
    builder.CreateCondBr(builder.CreateICmpULT(done, count()), body, end);

    builder.SetInsertPoint(body);
    llvm::PHINode* index = builder.CreatePHI(types_.word, 2, "thread");
    index->addIncoming(done, before);
    Value* lane = add(builder, first_lane(), index);
    Value* x = add(builder, first_x(), index);
    run_thread(builder, {builder.CreateLShr(lane, kGroupBits), builder.CreateAnd(lane, kGroup - 1),
                         builder.CreateLShr(x, kGroupBits), builder.CreateAnd(x, kGroup - 1)});
    Value* following = add(builder, index, word(1));
    index->addIncoming(following, body);
    llvm::BranchInst* back =
        builder.CreateCondBr(builder.CreateICmpULT(following, count()), body, end);
    back->setMetadata(llvm::LLVMContext::MD_loop, loop_facts(1));

    builder.SetInsertPoint(end);
    builder.CreateRetVoid();
  }

  // `place`: lane / 16, lane % 16, x / 16, x % 16.
  void run_thread(llvm::IRBuilder<>& builder, const std::array<Value*, 4>& place) {
    std::vector<Value*> arguments{row_->getArg(0), row_->getArg(1)};
    arguments.insert(arguments.end(), place.begin(), place.end());
    arguments.insert(arguments.end(), {row_->getArg(5), row_->getArg(6)});
    arguments.insert(arguments.end(), uniform_.begin(), uniform_.end());
    llvm::CallInst* next = builder.CreateCall(thread_.function, arguments, "next");
    if (llvm::DISubprogram* lines = row_->getSubprogram()) {
      next->setDebugLoc(llvm::DILocation::get(context_, lines->getLine(), 0, lines));
    }
    if (!source_.frame.is_needed() || thread_.successors.size() < 2) return;
    Value* lane = add(builder, builder.CreateShl(place[0], kGroupBits, "", true, true), place[1]);
    builder.CreateStore(next, builder.CreateInBoundsGEP(types_.word, row_->getArg(1),
                                                        builder.CreateZExt(lane, types_.size)));
  }

  // Between two cut points no thread may depend on what another does: that would be a race. So the
  // iterations are independent, whatever the addresses say.
  void mark_parallel(llvm::Function& function) const {
    for (llvm::Instruction& instruction : llvm::instructions(function)) {
      const Value* address = llvm::getLoadStorePointerOperand(&instruction);
      if (address != nullptr && !llvm::isa<llvm::AllocaInst>(address)) {
        instruction.setMetadata(llvm::LLVMContext::MD_access_group, group_);
      }
    }
  }

  // What is said of a loop over threads; `width`: of the vectors, 1: none.
  llvm::MDNode* loop_facts(unsigned width) const {
    const auto property = [&](const char* name, llvm::Metadata* value) {
      return llvm::MDNode::get(context_, {llvm::MDString::get(context_, name), value});
    };
    const auto number = [&](llvm::Type* type, unsigned value) {
      return llvm::ConstantAsMetadata::get(llvm::ConstantInt::get(type, value));
    };
    llvm::Type* bit = llvm::Type::getInt1Ty(context_);
    const bool vectorises = width > 1 && !source_.facts.checked && !source_.facts.stepwise;
    llvm::SmallVector<llvm::Metadata*, 6> properties{nullptr};
    properties.push_back(property("llvm.loop.parallel_accesses", group_));
    properties.push_back(property("llvm.loop.vectorize.enable", number(bit, vectorises)));
    if (vectorises) {
      properties.push_back(property("llvm.loop.vectorize.width", number(types_.word, width)));
      properties.push_back(property("llvm.loop.interleave.count", number(types_.word, 1)));
    }
    // Unrolled, it would no longer be a loop to vectorise.
    properties.push_back(
        llvm::MDNode::get(context_, {llvm::MDString::get(context_, "llvm.loop.unroll.disable")}));
    llvm::MDNode* id = llvm::MDNode::getDistinct(context_, properties);
    id->replaceOperandWith(0, id);
    return id;
  }

  const RegionSource& source_;
  const AbiTypes& types_;
  const ThreadFunction& thread_;
  llvm::LLVMContext& context_;
  llvm::MDNode* group_;  // of accesses that don't depend on those of other threads
  llvm::Function* row_ = nullptr;
  std::vector<Value*> uniform_;
};

}  // namespace

llvm::Function* build_row_function(const RegionSource& source, const ThreadFunction& thread,
                                   unsigned number) {
  return Builder(source, thread, number).run();
}

}  // namespace fms::cpu
