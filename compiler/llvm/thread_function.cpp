#include "compiler/llvm/thread_function.h"

#include <fmt/format.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/DebugInfo.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/ValueMapper.h>

namespace fms::cpu {
namespace {

using llvm::BasicBlock;
using llvm::Instruction;
using llvm::Value;

class Builder {
 public:
  Builder(const RegionSource& source, unsigned number)
      : source_(source), cut_(source.cut), number_(number), context_(source.module.getContext()) {
    for (unsigned i = 1; i < cut_.points.size(); ++i) by_call_[cut_.points[i].call] = i;
    find_blocks();
    find_variables();
  }

  ThreadFunction run() {
    make_function();
    BasicBlock* entry = BasicBlock::Create(context_, "entry", out_.function);
    llvm::IRBuilder<> builder(entry);
    place_.emplace(source_.types, *out_.function, builder, source_.frame.is_needed());
    values_[cut_.function->getArg(0)] = place_->arguments(builder, source_.facts.parameter_bytes);
    if (source_.frame.is_needed()) frame_ = place_->frame(builder);
    bring_variables(builder);
    bring_privates(builder);
    for (BasicBlock* block : blocks_) {
      values_[block] = BasicBlock::Create(context_, block->getName(), out_.function);
    }
    for (const BasicBlock* block : blocks_) copy_block(*block);
    for (const BasicBlock* block : blocks_) drop_missing_ways(*block);
    remap();
    builder.SetInsertPoint(entry);
    builder.CreateBr(llvm::cast<BasicBlock>(values_[blocks_.front()]));
    return std::move(out_);
  }

 private:
  // What can be reached without being suspended.
  void find_blocks() {
    blocks_.insert(cut_.points[number_].continuation);
    for (unsigned i = 0; i < blocks_.size(); ++i) {
      if (exit_of(*blocks_[i]) >= 0) continue;
      for (BasicBlock* next : llvm::successors(blocks_[i])) blocks_.insert(next);
    }
  }

  // The state that a block suspends into, or -1.
  int exit_of(const BasicBlock& block) const {
    const Instruction* last = block.getTerminator()->getPrevNode();
    if (last == nullptr) return -1;
    const auto found = by_call_.find(last);
    return found == by_call_.end() ? -1 : static_cast<int>(found->second);
  }

  void find_variables() {
    const auto count = static_cast<unsigned>(cut_.variables.size());
    accessed_.resize(count);
    written_.resize(count);
    for (const BasicBlock* block : blocks_) {
      for (const Instruction& instruction : *block) {
        const int variable = source_.liveness.variable_of(instruction);
        if (variable < 0) continue;
        accessed_.set(static_cast<unsigned>(variable));
        if (llvm::isa<llvm::StoreInst>(instruction)) written_.set(static_cast<unsigned>(variable));
      }
    }
    for (const unsigned i : live().set_bits()) {
      if (!cut_.variables[i].uniform) continue;
      out_.agreed.push_back(i);
      if (accessed_.test(i)) out_.uniform.push_back(i);
    }
  }

  const llvm::BitVector& live() const {
    return source_.liveness.live_in(cut_.points[number_].continuation);
  }

  void make_function() {
    std::vector<llvm::Type*> parameters{source_.types.pointer, source_.types.pointer};
    parameters.resize(ThreadPlace::kParameters, source_.types.word);
    for (const unsigned i : out_.uniform) parameters.push_back(source_.type_of(i));
    out_.function =
        source_.make_function(llvm::FunctionType::get(source_.types.word, parameters, false),
                              fmt::format("{}.state{}.thread", source_.facts.entry, number_));
    out_.function->addFnAttr(llvm::Attribute::AlwaysInline);
  }

  // Each variable becomes a local one, which no pass leaves in memory.
  void bring_variables(llvm::IRBuilder<>& builder) {
    for (const unsigned i : accessed_.set_bits()) {
      values_[cut_.variables[i].memory] =
          builder.CreateAlloca(source_.type_of(i), nullptr, cut_.variables[i].memory->getName());
    }
    unsigned next_argument = ThreadPlace::kParameters;
    for (const unsigned i : accessed_.set_bits()) {
      if (!live().test(i)) continue;
      Value* value = nullptr;
      if (cut_.variables[i].uniform) {
        value = out_.function->getArg(next_argument++);
      } else {
        value = builder.CreateLoad(source_.type_of(i), slot(builder, i));
      }
      builder.CreateStore(value, values_[cut_.variables[i].memory]);
    }
  }

  void bring_privates(llvm::IRBuilder<>& builder) {
    const auto number = [&](std::uint64_t value) {
      return llvm::ConstantInt::get(source_.types.size, value);
    };
    for (std::size_t i = 0; i < cut_.privates.size(); ++i) {
      Value* lane = builder.CreateZExt(place_->lane(), source_.types.size);
      Value* offset = builder.CreateAdd(
          builder.CreateMul(lane, number(source_.frame.private_stride()), "", true, true),
          number(source_.frame.private_offset(i)), "", true, true);
      values_[cut_.privates[i]] = builder.CreateInBoundsPtrAdd(frame_, offset);
    }
  }

  Value* slot(llvm::IRBuilder<>& builder, unsigned variable) const {
    return source_.slot(builder, frame_, variable, place_->lane());
  }

  void copy_block(const BasicBlock& block) {
    llvm::IRBuilder<> builder(llvm::cast<BasicBlock>(values_[&block]));
    for (const Instruction& instruction : block) {
      if (const auto exit = by_call_.find(&instruction); exit != by_call_.end()) {
        offer(builder, llvm::cast<llvm::CallInst>(instruction));
        leave(builder, exit->second);
        return;
      }
      if (llvm::isa<llvm::AllocaInst>(instruction)) continue;
      if (llvm::isa<llvm::ReturnInst>(instruction)) {
        go_to(builder, static_cast<unsigned>(cut_.points.size()));
        continue;
      }
      if (Value* value = of_place(builder, instruction)) {
        values_[&instruction] = value;
        continue;
      }
      Instruction* copy = instruction.clone();
      copy->setName(instruction.getName());
      if (is_argument_load(instruction)) {
        copy->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
      }
      builder.Insert(copy);
      values_[&instruction] = copy;
    }
  }

  // What stands for a call of the prelude's functions; null: the instruction is something else.
  // thread / 16, thread % 32 and such are put together from what is the same for a group of threads
  // and what counts them.
  Value* of_place(llvm::IRBuilder<>& builder, const Instruction& instruction) const {
    if (const auto which = place_of(&instruction)) return place_->value(builder, *which);
    if (const auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction)) {
      const llvm::Function* function = call->getCalledFunction();
      const bool taken = function != nullptr && function->getName() == kTaken;
      return taken ? place_->load_lane(builder, kValueOffset, 8) : nullptr;
    }
    if (instruction.getNumOperands() != 2) return nullptr;
    const auto which = place_of(instruction.getOperand(0));
    const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(instruction.getOperand(1));
    if (!which || constant == nullptr) return nullptr;
    const auto number = static_cast<unsigned>(constant->getZExtValue());
    if (instruction.getOpcode() == Instruction::And) return place_->masked(builder, *which, number);
    if (instruction.getOpcode() == Instruction::LShr) {
      return place_->shifted(builder, *which, number);
    }
    return nullptr;
  }

  void offer(llvm::IRBuilder<>& builder, const llvm::CallInst& call) {
    const auto mapped = [&](Value* value) {
      const auto found = values_.find(value);
      return found == values_.end() ? value : static_cast<Value*>(found->second);
    };
    if (Value* value = offered_value(call)) {
      place_->store_lane(builder, kValueOffset, 8,
                         builder.CreateZExtOrTrunc(mapped(value), source_.types.size));
    }
    if (Value* mask = offered_mask(call)) place_->store_lane(builder, kMaskOffset, 4, mapped(mask));
    if (Value* lane = offered_source(call)) {
      place_->store_lane(builder, kSourceOffset, 4, mapped(lane));
    }
  }

  void leave(llvm::IRBuilder<>& builder, unsigned next) {
    llvm::BitVector stored = source_.liveness.live_in(cut_.points[next].continuation);
    stored &= written_;
    for (const unsigned i : stored.set_bits()) {
      Value* value = builder.CreateLoad(source_.type_of(i), values_[cut_.variables[i].memory]);
      builder.CreateStore(value, slot(builder, i));
    }
    go_to(builder, next);
  }

  void go_to(llvm::IRBuilder<>& builder, unsigned next) {
    out_.successors.insert(next);
    builder.CreateRet(llvm::ConstantInt::get(source_.types.word, next));
  }

  // A block of the region may also be reached from blocks that are not of the region.
  void drop_missing_ways(const BasicBlock& block) {
    for (llvm::PHINode& phi : llvm::cast<BasicBlock>(values_[&block])->phis()) {
      for (unsigned i = phi.getNumIncomingValues(); i-- > 0;) {
        if (values_.find(phi.getIncomingBlock(i)) == values_.end()) {
          phi.removeIncomingValue(i, /*DeletePHIIfEmpty=*/false);
        }
      }
    }
  }

  void remap() {
    llvm::RemapFlags flags = llvm::RF_IgnoreMissingLocals;
    if (cut_.function->getSubprogram() != nullptr) {
      describe_source();
    } else {
      flags = flags | llvm::RF_NoModuleLevelChanges;
    }
    for (Instruction& instruction : llvm::instructions(out_.function)) {
      llvm::RemapInstruction(&instruction, values_, flags);
    }
  }

  // Makes the function one of its own to debuggers: the lines of the cut function now belong to
  // several. All else that lines refer to stays shared.
  void describe_source() {
    llvm::DISubprogram* old = cut_.function->getSubprogram();
    llvm::DebugInfoFinder finder;
    finder.processModule(source_.module);
    for (llvm::DICompileUnit* unit : finder.compile_units()) values_.MD()[unit].reset(unit);
    for (llvm::DIType* type : finder.types()) values_.MD()[type].reset(type);
    for (llvm::DISubprogram* other : finder.subprograms()) {
      if (other != old) values_.MD()[other].reset(other);
    }
    llvm::DISubprogram* own = llvm::MDNode::replaceWithDistinct(old->clone());
    out_.function->setSubprogram(own);
    values_.MD()[old].reset(own);
  }

  const RegionSource& source_;
  const CutFunction& cut_;
  const unsigned number_;
  llvm::LLVMContext& context_;
  llvm::DenseMap<const Value*, unsigned> by_call_;
  llvm::SetVector<BasicBlock*> blocks_;  // the first is where the region begins
  llvm::BitVector accessed_, written_;   // variables, by number
  llvm::ValueToValueMapTy values_;       // what stands for the cut function's
  std::optional<ThreadPlace> place_;
  Value* frame_ = nullptr;
  ThreadFunction out_;
};

}  // namespace

RegionSource::RegionSource(const CutFunction& cut_function, const KernelFacts& kernel_facts)
    : cut(cut_function),
      facts(kernel_facts),
      module(*cut_function.function->getParent()),
      types(module.getContext()),
      liveness(cut),
      frame(cut, liveness) {}

Value* RegionSource::slot(llvm::IRBuilder<>& builder, Value* frame_address, unsigned variable,
                          Value* lane) const {
  Value* base = builder.CreateInBoundsPtrAdd(
      frame_address, llvm::ConstantInt::get(types.size, frame.offset(variable)));
  return builder.CreateInBoundsGEP(llvm::ArrayType::get(types.byte, frame.size(variable)), base,
                                   builder.CreateZExt(lane, types.size));
}

llvm::Function* RegionSource::make_function(llvm::FunctionType* type,
                                            const std::string& name) const {
  llvm::LLVMContext& context = module.getContext();
  llvm::Function* function =
      llvm::Function::Create(type, llvm::Function::InternalLinkage, name, module);
  const llvm::AttributeSet old = cut.function->getAttributes().getFnAttrs();
  for (const char* attribute : {"target-cpu", "target-features", "tune-cpu", "frame-pointer"}) {
    if (old.hasAttribute(attribute)) function->addFnAttr(old.getAttribute(attribute));
  }
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr(llvm::Attribute::MustProgress);
  // What of block and warp may be read early, even where a thread itself would not come to it.
  function->addDereferenceableParamAttr(0, sizeof(Block));
  function->addParamAttr(0, llvm::Attribute::getWithAlignment(context, llvm::Align(8)));
  if (!frame.is_needed()) return function;  // the warp may be null
  function->addDereferenceableParamAttr(1, sizeof(Warp));
  function->addParamAttr(1, llvm::Attribute::getWithAlignment(context, llvm::Align(64)));
  return function;
}

ThreadFunction build_thread_function(const RegionSource& source, unsigned number) {
  return Builder(source, number).run();
}

}  // namespace fms::cpu
