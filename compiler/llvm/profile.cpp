#include "compiler/llvm/profile.h"

#include <llvm/ADT/StringSet.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/Demangle/Demangle.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>

#include <cstdlib>

#include "compiler/llvm/intrinsics.h"
#include "compiler/llvm/weights.h"

namespace fms::cpu {
namespace {

using llvm::Instruction;

// What is given of a place; 0: nothing.
std::uint32_t given(Place place, const ProfileOptions& options) {
  switch (place) {
    case Place::kBlockDimX:
    case Place::kBlockDimY:
    case Place::kBlockDimZ:
      return options.block[std::size_t(place) - std::size_t(Place::kBlockDimX)];
    case Place::kGridDimX:
    case Place::kGridDimY:
    case Place::kGridDimZ:
      return options.grid[std::size_t(place) - std::size_t(Place::kGridDimX)];
    default:
      return 0;
  }
}

// Asks for each place once, at the start: what depends on it alone is then seen to be the same in
// each round of a loop. What the launch says of it becomes a constant.
void fix_places(llvm::Function& thread, const ProfileOptions& options) {
  llvm::DenseMap<const llvm::Function*, llvm::Value*> known;
  for (Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(thread))) {
    const auto place = place_of(&instruction);
    if (!place) continue;
    const llvm::Function* asked = llvm::cast<llvm::CallBase>(instruction).getCalledFunction();
    llvm::Value*& value = known[asked];
    if (const std::uint32_t constant = given(*place, options)) {
      value = llvm::ConstantInt::get(instruction.getType(), constant);
    } else if (value == nullptr) {
      value = &instruction;
      llvm::BasicBlock& entry = thread.getEntryBlock();
      instruction.moveBefore(entry, entry.getFirstInsertionPt());
      continue;
    }
    instruction.replaceAllUsesWith(value);
    instruction.eraseFromParent();
  }
}

// Who gives no block launches the largest, if the kernel has but one dimension.
ProfileOptions complete(const ProfileOptions& options, const llvm::Function& thread,
                        int max_threads) {
  ProfileOptions result = options;
  bool one_dimension = true;
  for (const Instruction& instruction : llvm::instructions(thread)) {
    const auto place = place_of(&instruction);
    one_dimension = one_dimension && place != Place::kThreadY && place != Place::kThreadZ &&
                    place != Place::kBlockDimY && place != Place::kBlockDimZ;
  }
  if (result.block[0] == 0 && one_dimension) {
    result.block = {static_cast<std::uint32_t>(max_threads), 0, 0};
  }
  for (auto* size : {&result.grid, &result.block}) {
    if ((*size)[0] == 0) continue;
    for (std::uint32_t& length : *size) length = std::max<std::uint32_t>(length, 1);
  }
  return result;
}

// The name of a C++ function without what it takes; of others, their name.
std::string base_name(const llvm::Function& function) {
  llvm::ItaniumPartialDemangler demangler;
  const std::string name = function.getName().str();
  if (demangler.partialDemangle(name.c_str())) return name;
  std::size_t size = 0;
  char* const base = demangler.getFunctionBaseName(nullptr, &size);
  std::string result = base != nullptr ? base : name;
  std::free(base);
  return result;
}

class Counter {
 public:
  Counter(const llvm::Function& thread, KernelProfile& out)
      : thread_(thread), layout_(thread.getParent()->getDataLayout()), out_(out) {}

  void run(const Weights& weights) {
    for (const llvm::BasicBlock& block : thread_) {
      const double weight = weights.of.lookup(&block);
      for (const Instruction& instruction : block) count(instruction, weight);
    }
  }

 private:
  MemorySpace space_of(const llvm::Value* address) const {
    const llvm::Value* object = llvm::getUnderlyingObject(address, 0);
    if (llvm::isa<llvm::AllocaInst>(object)) return MemorySpace::kLocal;
    if (llvm::isa<llvm::Argument>(object)) return MemorySpace::kArgument;
    if (place_of(object) == Place::kShared) return MemorySpace::kShared;
    return MemorySpace::kGlobal;
  }

  double size_of(const llvm::Type* type) const {
    return static_cast<double>(layout_.getTypeStoreSize(const_cast<llvm::Type*>(type)));
  }

  void add_flops(const llvm::Type* type, double count) {
    OperationCounts& counts = out_.thread;
    if (type->isDoubleTy()) {
      counts.flops64 += count;
    } else if (type->isFloatTy()) {
      counts.flops32 += count;
    } else {
      counts.flops16 += count;
    }
  }

  void load(const llvm::Value* address, double bytes) {
    out_.thread.loaded_bytes[std::size_t(space_of(address))] += bytes;
  }
  void store(const llvm::Value* address, double bytes) {
    out_.thread.stored_bytes[std::size_t(space_of(address))] += bytes;
  }

  void count(const Instruction& instruction, double weight) {
    OperationCounts& counts = out_.thread;
    if (const auto* from = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
      load(from->getPointerOperand(), weight * size_of(from->getType()));
    } else if (const auto* to = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
      store(to->getPointerOperand(), weight * size_of(to->getValueOperand()->getType()));
    } else if (instruction.isAtomic()) {
      count_atomic(instruction, weight);
    } else if (const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
      count_call(*call, weight);
    } else if (instruction.isTerminator()) {
      if (instruction.getNumSuccessors() > 1) counts.branches += weight;
    } else if (instruction.isBinaryOp() || instruction.isUnaryOp()) {
      if (!instruction.getType()->isFPOrFPVectorTy()) {
        counts.integer += weight;
      } else if (instruction.getOpcode() != Instruction::FNeg) {
        add_flops(instruction.getType(), weight);
      }
    } else if (llvm::isa<llvm::ICmpInst>(instruction)) {
      counts.integer += weight;
    } else if (llvm::isa<llvm::FCmpInst>(instruction)) {
      add_flops(instruction.getOperand(0)->getType(), weight);
    }
  }

  void count_atomic(const Instruction& instruction, double weight) {
    const llvm::Value* address = nullptr;
    double bytes = 0;
    if (const auto* change = llvm::dyn_cast<llvm::AtomicRMWInst>(&instruction)) {
      address = change->getPointerOperand();
      bytes = size_of(change->getType());
    } else if (const auto* exchange = llvm::dyn_cast<llvm::AtomicCmpXchgInst>(&instruction)) {
      address = exchange->getPointerOperand();
      bytes = size_of(exchange->getNewValOperand()->getType());
    }
    if (address == nullptr) return;  // a fence
    out_.thread.atomics += weight;
    load(address, weight * bytes);
    store(address, weight * bytes);
  }

  // Of a length that is known; of others there are none in what a kernel's source says.
  void count_copy(const llvm::AnyMemIntrinsic& copy, double weight) {
    const auto* length = llvm::dyn_cast<llvm::ConstantInt>(copy.getLength());
    if (length == nullptr) return;
    const double bytes = weight * static_cast<double>(length->getZExtValue());
    store(copy.getRawDest(), bytes);
    const auto* transfer = llvm::dyn_cast<llvm::AnyMemTransferInst>(&copy);
    if (transfer != nullptr) load(transfer->getRawSource(), bytes);
  }

  void count_call(const llvm::CallBase& call, double weight) {
    OperationCounts& counts = out_.thread;
    if (const auto suspension = suspension_of(call)) {
      (suspension->wait == Wait::kBlock ? counts.barriers : counts.warp_operations) += weight;
      return;
    }
    if (place_of(&call)) return;
    if (const auto* copy = llvm::dyn_cast<llvm::AnyMemIntrinsic>(&call)) {
      return count_copy(*copy, weight);
    }
    const llvm::Type* type = call.getType();
    switch (call.getIntrinsicID()) {
      case llvm::Intrinsic::fma:
      case llvm::Intrinsic::fmuladd:
        return add_flops(type, 2 * weight);
      case llvm::Intrinsic::maxnum:
      case llvm::Intrinsic::minnum:
      case llvm::Intrinsic::maximum:
      case llvm::Intrinsic::minimum:
        return add_flops(type, weight);
      case llvm::Intrinsic::fabs:
      case llvm::Intrinsic::copysign:
        return;
      default:
        break;
    }
    if (type->isFloatingPointTy()) {
      counts.special += weight;
    } else if (llvm::isa<llvm::IntrinsicInst>(call) && type->isIntegerTy()) {
      counts.integer += weight;
    }
  }

  const llvm::Function& thread_;
  const llvm::DataLayout& layout_;
  KernelProfile& out_;
};

}  // namespace

void keep_functions(llvm::Module& module) {
  static const llvm::StringSet<> names = {
      "fms_cpu_exp2", "exp2f",    "expf",     "exp10f",     "logf",        "log2f",
      "log10f",       "erfinv",   "erfinvf",  "erfcinv",    "erfcinvf",    "erfcx",
      "erfcxf",       "normcdf",  "normcdff", "normcdfinv", "sinpif",      "sinpi",
      "cospif",       "cospi",    "rsqrtf",   "rsqrt",      "normcdfinvf", "rcbrtf",
      "rcbrt",        "rhypotf",  "rhypot",   "norm3df",    "norm3d",      "norm4df",
      "norm4d",       "rnorm3df", "rnorm3d",  "rnorm4df",   "rnorm4d",     "__frsqrt_rn"};
  for (llvm::Function& function : module) {
    if (function.isDeclaration() || !function.hasInternalLinkage()) continue;
    if (!function.getReturnType()->isFloatingPointTy() || !names.contains(base_name(function))) {
      continue;
    }
    function.removeFnAttr(llvm::Attribute::AlwaysInline);
    function.addFnAttr(llvm::Attribute::NoInline);
    function.setDoesNotAccessMemory();
    function.setDoesNotThrow();
    function.setWillReturn();
  }
}

void profile(llvm::Function& thread, llvm::TargetMachine& machine, const ProfileOptions& options,
             KernelProfile& out) {
  const ProfileOptions launch = complete(options, thread, out.max_threads);
  fix_places(thread, launch);
  Weights weights = weigh(thread, machine, launch);
  Counter(thread, out).run(weights);
  out.loops = std::move(weights.loops);
}

}  // namespace fms::cpu
