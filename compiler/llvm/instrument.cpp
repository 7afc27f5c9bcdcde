#include "compiler/llvm/instrument.h"

#include <llvm/Analysis/ValueTracking.h>
#include <llvm/Demangle/Demangle.h>
#include <llvm/IR/DebugInfoMetadata.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>

#include "compiler/llvm/abi_types.h"
#include "compiler/llvm/intrinsics.h"
#include "compiler/llvm/source_place.h"

namespace fms::cpu {
namespace {

using llvm::Instruction;
using llvm::Value;

// One access: `bytes` from `address` on.
struct Touch {
  Value* address = nullptr;
  Value* bytes = nullptr;
  std::uint32_t flags = 0;
};

class Instrumenter {
 public:
  Instrumenter(llvm::Module& module, const Checks& checks)
      : module_(module),
        layout_(module.getDataLayout()),
        types_(module.getContext()),
        checks_(checks) {
    check_ = module.getOrInsertFunction(
        "fms_cpu_access",
        llvm::FunctionType::get(llvm::Type::getVoidTy(module.getContext()),
                                {types_.pointer, types_.size, types_.pointer, types_.pointer},
                                false));
  }

  void run() {
    llvm::SmallVector<Instruction*, 256> all;
    for (llvm::Function& function : module_) {
      for (Instruction& instruction : llvm::instructions(function)) all.push_back(&instruction);
    }
    for (Instruction* instruction : all) {
      for (const Touch& touch : touches_of(*instruction)) check(*instruction, touch);
    }
  }

 private:
  Value* size_of(llvm::Type* type) const {
    return llvm::ConstantInt::get(types_.size, layout_.getTypeStoreSize(type));
  }

  llvm::SmallVector<Touch, 2> touches_of(Instruction& instruction) const {
    if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
      std::uint32_t flags = 0;
      if (load->isVolatile()) flags |= kAccessVolatile;
      if (load->isAtomic()) flags |= kAccessAtomic;
      return {{load->getPointerOperand(), size_of(load->getType()), flags}};
    }
    if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
      std::uint32_t flags = kAccessWrite;
      if (store->isVolatile()) flags |= kAccessVolatile;
      if (store->isAtomic()) flags |= kAccessAtomic;
      return {{store->getPointerOperand(), size_of(store->getValueOperand()->getType()), flags}};
    }
    constexpr std::uint32_t kReadModifyWrite = kAccessWrite | kAccessAtomic;
    if (auto* change = llvm::dyn_cast<llvm::AtomicRMWInst>(&instruction)) {
      return {{change->getPointerOperand(), size_of(change->getType()), kReadModifyWrite}};
    }
    if (auto* exchange = llvm::dyn_cast<llvm::AtomicCmpXchgInst>(&instruction)) {
      return {{exchange->getPointerOperand(), size_of(exchange->getNewValOperand()->getType()),
               kReadModifyWrite}};
    }
    if (auto* set = llvm::dyn_cast<llvm::MemSetInst>(&instruction)) {
      return {{set->getDest(), set->getLength(), kAccessWrite}};
    }
    if (auto* copy = llvm::dyn_cast<llvm::MemTransferInst>(&instruction)) {
      return {{copy->getSource(), copy->getLength(), 0},
              {copy->getDest(), copy->getLength(), kAccessWrite}};
    }
    return {};
  }

  // The size of a variable; 0: not known.
  std::uint64_t bytes_of(const Value& object) const {
    if (const auto* local = llvm::dyn_cast<llvm::AllocaInst>(&object)) {
      const auto size = local->getAllocationSize(layout_);
      return size ? size->getFixedValue() : 0;
    }
    if (const auto* variable = llvm::dyn_cast<llvm::GlobalVariable>(&object)) {
      return layout_.getTypeAllocSize(variable->getValueType());
    }
    return 0;
  }

  void check(Instruction& instruction, const Touch& touch) {
    Value* object = llvm::getUnderlyingObject(touch.address, /*MaxLookup=*/0);
    if (llvm::isa<llvm::Argument>(object) && is_parameter_block(*object)) return;
    std::uint32_t flags = touch.flags;
    if (llvm::isa<llvm::AllocaInst>(object)) flags |= kAccessPrivate;
    const auto* variable = llvm::dyn_cast<llvm::GlobalVariable>(object);
    if (variable != nullptr && variable->getAddressSpace() == kSharedSpace) flags |= kAccessShared;
    const std::uint64_t bytes = bytes_of(*object);
    if (checks_.address && !is_inside(touch, bytes)) flags |= kCheckAddress;
    const bool constant = variable != nullptr && variable->isConstant();
    if (checks_.race && (flags & kAccessPrivate) == 0 && !constant) flags |= kCheckRace;
    if ((flags & (kCheckAddress | kCheckRace)) == 0) return;

    llvm::IRBuilder<> builder(&instruction);
    const bool known = llvm::isa<llvm::AllocaInst>(object) || variable != nullptr;
    Value* base = known ? generic(builder, object) : llvm::ConstantPointerNull::get(types_.pointer);
    builder.CreateCall(check_, {generic(builder, touch.address),
                                builder.CreateZExtOrTrunc(touch.bytes, types_.size),
                                site(instruction, *object, flags, bytes), base});
  }

  Value* generic(llvm::IRBuilder<>& builder, Value* pointer) const {
    return builder.CreateAddrSpaceCast(pointer, types_.pointer);
  }

  // The only argument of the function that runs a thread.
  static bool is_parameter_block(const Value& argument) {
    return llvm::cast<llvm::Argument>(argument).getParent()->getName().starts_with("fms_thread_");
  }

  bool is_inside(const Touch& touch, std::uint64_t object_bytes) const {
    const auto* bytes = llvm::dyn_cast<llvm::ConstantInt>(touch.bytes);
    if (bytes == nullptr || object_bytes == 0) return false;
    llvm::APInt offset(layout_.getIndexTypeSizeInBits(touch.address->getType()), 0);
    const Value* base = touch.address;
    // Through a cast of address spaces, too.
    while (true) {
      base = base->stripAndAccumulateConstantOffsets(layout_, offset, /*AllowNonInbounds=*/true);
      const auto* cast = llvm::dyn_cast<llvm::AddrSpaceCastOperator>(base);
      if (cast == nullptr) break;
      base = cast->getPointerOperand();
    }
    if (!llvm::isa<llvm::AllocaInst>(base) && !llvm::isa<llvm::GlobalVariable>(base)) return false;
    return offset.isNonNegative() && offset.getZExtValue() + bytes->getZExtValue() <= object_bytes;
  }

  llvm::Constant* text(const std::string& value) {
    llvm::Constant*& known = texts_[value];
    if (known == nullptr) known = types_.constant_text(module_, value);
    return known;
  }

  static std::string name_of(const Value& object) {
    // "kernel()::tile" of the mangled name of a variable in a function.
    std::string name = llvm::demangle(object.getName().str());
    if (const std::size_t at = name.rfind("::"); at != std::string::npos) name.erase(0, at + 2);
    if (llvm::isa<llvm::AllocaInst>(object)) name.resize(std::min(name.find('.'), name.size()));
    return name;
  }

  llvm::Constant* site(const Instruction& instruction, const Value& object, std::uint32_t flags,
                       std::uint64_t bytes) {
    const SourcePlace place = place_in_source(instruction.getDebugLoc());
    llvm::Constant* nothing = llvm::ConstantPointerNull::get(types_.pointer);
    const bool named = object.hasName() && (llvm::isa<llvm::AllocaInst>(object) ||
                                            llvm::isa<llvm::GlobalVariable>(object));
    llvm::Constant* value = llvm::ConstantStruct::getAnon(
        {place.file.empty() ? nothing : text(place.file),
         llvm::ConstantInt::get(types_.word, place.line),
         llvm::ConstantInt::get(types_.word, flags), named ? text(name_of(object)) : nothing,
         llvm::ConstantInt::get(types_.size, bytes)});
    auto* global = new llvm::GlobalVariable(module_, value->getType(), /*isConstant=*/true,
                                            llvm::GlobalValue::PrivateLinkage, value, "site");
    global->setAlignment(llvm::Align(8));
    return global;
  }

  llvm::Module& module_;
  const llvm::DataLayout& layout_;
  const AbiTypes types_;
  const Checks checks_;
  llvm::FunctionCallee check_;
  llvm::StringMap<llvm::Constant*> texts_;
};

}  // namespace

void instrument(llvm::Module& module, const Checks& checks) {
  if (checks.any()) Instrumenter(module, checks).run();
}

llvm::Constant* list_variables(llvm::Module& module, std::uint64_t& count) {
  const AbiTypes types(module.getContext());
  const llvm::DataLayout& layout = module.getDataLayout();
  std::vector<llvm::Constant*> variables;
  std::vector<llvm::GlobalVariable*> all;
  for (llvm::GlobalVariable& variable : module.globals()) {
    const bool of_user = variable.hasInitializer() && variable.getAddressSpace() == 0 &&
                         !variable.getName().starts_with("llvm.") && !variable.hasPrivateLinkage();
    if (of_user) all.push_back(&variable);
  }
  for (llvm::GlobalVariable* variable : all) {
    variables.push_back(llvm::ConstantStruct::getAnon(
        {types.constant_text(module, llvm::demangle(variable->getName().str())), variable,
         llvm::ConstantInt::get(types.size, layout.getTypeAllocSize(variable->getValueType()))}));
  }
  count = variables.size();
  if (variables.empty()) return llvm::ConstantPointerNull::get(types.pointer);
  return types.constant_array(module, variables, "fms.variables");
}

}  // namespace fms::cpu
