#include "compiler/llvm/abi_types.h"

namespace fms::cpu {

AbiTypes::AbiTypes(llvm::LLVMContext& context)
    : pointer(llvm::PointerType::get(context, 0)),
      byte(llvm::Type::getInt8Ty(context)),
      word(llvm::Type::getInt32Ty(context)),
      size(llvm::Type::getInt64Ty(context)) {}

llvm::Value* AbiTypes::load_constant(llvm::IRBuilder<>& builder, llvm::Type* type,
                                     llvm::Value* base, unsigned offset) const {
  llvm::Value* address = builder.CreateInBoundsPtrAdd(base, llvm::ConstantInt::get(size, offset));
  llvm::LoadInst* load = builder.CreateLoad(type, address);
  load->setMetadata(llvm::LLVMContext::MD_invariant_load,
                    llvm::MDNode::get(builder.getContext(), {}));
  return load;
}

llvm::Constant* AbiTypes::constant_array(llvm::Module& module,
                                         llvm::ArrayRef<llvm::Constant*> elements,
                                         const std::string& name) const {
  auto* type = llvm::ArrayType::get(elements.front()->getType(), elements.size());
  auto* array = new llvm::GlobalVariable(module, type, /*isConstant=*/true,
                                         llvm::GlobalValue::InternalLinkage,
                                         llvm::ConstantArray::get(type, elements), name);
  array->setAlignment(llvm::Align(8));
  return array;
}

llvm::Constant* AbiTypes::constant_text(llvm::Module& module, const std::string& text) const {
  llvm::Constant* characters = llvm::ConstantDataArray::getString(module.getContext(), text);
  auto* global = new llvm::GlobalVariable(module, characters->getType(), /*isConstant=*/true,
                                          llvm::GlobalValue::PrivateLinkage, characters, "text");
  global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  return global;
}

llvm::Value* ThreadPlace::arguments(llvm::IRBuilder<>& builder, std::uint64_t bytes) const {
  llvm::Value* address = types_.load_constant(builder, types_.pointer, block(), kArgumentsOffset);
  // Arguments may then be read before it is known whether a thread needs them.
  llvm::LLVMContext& context = builder.getContext();
  const auto number = [&](std::uint64_t value) {
    return llvm::MDNode::get(context, llvm::ConstantAsMetadata::get(builder.getInt64(value)));
  };
  auto* load = llvm::cast<llvm::LoadInst>(address);
  load->setMetadata(llvm::LLVMContext::MD_dereferenceable, number(bytes));
  load->setMetadata(llvm::LLVMContext::MD_align, number(64));
  return address;
}

llvm::Value* ThreadPlace::frame(llvm::IRBuilder<>& builder) const {
  return types_.load_constant(builder, types_.pointer, warp(), kFrameOffset);
}

ThreadPlace::ThreadPlace(const AbiTypes& types, llvm::Function& thread, llvm::IRBuilder<>& builder,
                         bool framed)
    : types_(types), thread_(thread), framed_(framed) {
  lane_ = join(builder, {thread.getArg(2), thread.getArg(3)});
  lane_->setName("lane");
}

llvm::Value* ThreadPlace::join(llvm::IRBuilder<>& builder, const Parts& parts) const {
  return builder.CreateAdd(builder.CreateShl(parts.high, kGroupBits, "", true, true), parts.low, "",
                           true, true);
}

ThreadPlace::Parts ThreadPlace::parts(llvm::IRBuilder<>& builder, Place place) const {
  if (place == Place::kThreadX) return {thread_.getArg(4), thread_.getArg(5)};
  if (place != Place::kThread || !framed_) return {};
  // A warp starts at a multiple of its size.
  llvm::Value* first = types_.load_constant(builder, types_.word, warp(), kFirstThreadOffset);
  llvm::Value* group = builder.CreateLShr(first, kGroupBits);
  return {builder.CreateAdd(group, thread_.getArg(2), "", true, true), thread_.getArg(3)};
}

llvm::Value* ThreadPlace::masked(llvm::IRBuilder<>& builder, Place place, unsigned mask) const {
  if (place == Place::kThread && framed_ && mask == kWarpSize - 1) return lane_;
  const Parts both = parts(builder, place);
  if (both.high == nullptr) return nullptr;
  llvm::Value* low = builder.CreateAnd(both.low, mask % kGroup);
  if (mask % kGroup == kGroup - 1) low = both.low;
  if (mask < kGroup) return low;
  return join(builder, {builder.CreateAnd(both.high, mask >> kGroupBits), low});
}

llvm::Value* ThreadPlace::shifted(llvm::IRBuilder<>& builder, Place place, unsigned bits) const {
  const Parts both = parts(builder, place);
  if (both.high == nullptr || bits < kGroupBits) return nullptr;
  return builder.CreateLShr(both.high, bits - kGroupBits);
}

llvm::Value* ThreadPlace::thread_number(llvm::IRBuilder<>& builder) const {
  if (framed_) return join(builder, parts(builder, Place::kThread));
  llvm::Value* row = builder.CreateAdd(
      builder.CreateMul(thread_.getArg(7), value(builder, Place::kBlockDimY), "", true, true),
      thread_.getArg(6), "", true, true);
  return builder.CreateAdd(
      builder.CreateMul(row, value(builder, Place::kBlockDimX), "", true, true),
      value(builder, Place::kThreadX), "", true, true);
}

llvm::Value* ThreadPlace::value(llvm::IRBuilder<>& builder, Place place) const {
  const auto field = [&](std::size_t offset) {
    return types_.load_constant(builder, types_.word, block(), static_cast<unsigned>(offset));
  };
  switch (place) {
    case Place::kThreadX:
      return join(builder, {thread_.getArg(4), thread_.getArg(5)});
    case Place::kThreadY:
      return thread_.getArg(6);
    case Place::kThreadZ:
      return thread_.getArg(7);
    case Place::kBlockX:
      return field(offsetof(Block, block_index));
    case Place::kBlockY:
      return field(offsetof(Block, block_index) + 4);
    case Place::kBlockZ:
      return field(offsetof(Block, block_index) + 8);
    case Place::kBlockDimX:
      return field(offsetof(Block, block_dim));
    case Place::kBlockDimY:
      return field(offsetof(Block, block_dim) + 4);
    case Place::kBlockDimZ:
      return field(offsetof(Block, block_dim) + 8);
    case Place::kGridDimX:
      return field(offsetof(Block, grid_dim));
    case Place::kGridDimY:
      return field(offsetof(Block, grid_dim) + 4);
    case Place::kGridDimZ:
      return field(offsetof(Block, grid_dim) + 8);
    case Place::kDynamicSmem:
      return field(offsetof(Block, dynamic_smem_bytes));
    case Place::kShared:
      return types_.load_constant(builder, types_.pointer, block(), kSharedOffset);
    case Place::kThread:
      break;
  }
  return thread_number(builder);
}

llvm::Value* ThreadPlace::lane_address(llvm::IRBuilder<>& builder, unsigned offset,
                                       unsigned size) const {
  llvm::Value* base =
      builder.CreateInBoundsPtrAdd(warp(), llvm::ConstantInt::get(types_.size, offset));
  return builder.CreateInBoundsGEP(llvm::ArrayType::get(types_.byte, size), base,
                                   builder.CreateZExt(lane(), types_.size));
}

llvm::Value* ThreadPlace::load_lane(llvm::IRBuilder<>& builder, unsigned offset,
                                    unsigned size) const {
  return builder.CreateLoad(size == 8 ? types_.size : types_.word,
                            lane_address(builder, offset, size));
}

void ThreadPlace::store_lane(llvm::IRBuilder<>& builder, unsigned offset, unsigned size,
                             llvm::Value* value) const {
  builder.CreateStore(value, lane_address(builder, offset, size));
}

}  // namespace fms::cpu
