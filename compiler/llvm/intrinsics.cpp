#include "compiler/llvm/intrinsics.h"

#include <llvm/ADT/StringSwitch.h>
#include <llvm/IR/Constants.h>

namespace fms::cpu {
namespace {

const llvm::Function* called(const llvm::Value* value) {
  const auto* call = llvm::dyn_cast<llvm::CallBase>(value);
  return call != nullptr ? call->getCalledFunction() : nullptr;
}

Operation operation_of(const llvm::CallBase& call) {
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(call.getArgOperand(0));
  return constant != nullptr ? static_cast<Operation>(constant->getZExtValue()) : Operation::kNone;
}

}  // namespace

std::optional<Place> place_of(const llvm::Function* function) {
  if (function == nullptr || !function->getName().starts_with("__fms_")) return std::nullopt;
  return llvm::StringSwitch<std::optional<Place>>(function->getName())
      .Case("__fms_thread_idx_x", Place::kThreadX)
      .Case("__fms_thread_idx_y", Place::kThreadY)
      .Case("__fms_thread_idx_z", Place::kThreadZ)
      .Case("__fms_block_idx_x", Place::kBlockX)
      .Case("__fms_block_idx_y", Place::kBlockY)
      .Case("__fms_block_idx_z", Place::kBlockZ)
      .Case("__fms_block_dim_x", Place::kBlockDimX)
      .Case("__fms_block_dim_y", Place::kBlockDimY)
      .Case("__fms_block_dim_z", Place::kBlockDimZ)
      .Case("__fms_grid_dim_x", Place::kGridDimX)
      .Case("__fms_grid_dim_y", Place::kGridDimY)
      .Case("__fms_grid_dim_z", Place::kGridDimZ)
      .Case("__fms_thread", Place::kThread)
      .Case("__fms_dynamic_smem_size", Place::kDynamicSmem)
      .Case(kSharedBase, Place::kShared)
      .Default(std::nullopt);
}

std::optional<Place> place_of(const llvm::Value* value) { return place_of(called(value)); }

bool suspends(const llvm::Function* function) {
  return function != nullptr && llvm::StringSwitch<bool>(function->getName())
                                    .Cases("__fms_barrier", "__fms_barrier_reduce", "__fms_warp",
                                           "__fms_active_mask", kLoopHead, true)
                                    .Default(false);
}

std::optional<Suspension> suspension_of(const llvm::Instruction& instruction) {
  const llvm::Function* function = called(&instruction);
  if (!suspends(function)) return std::nullopt;
  const auto& call = llvm::cast<llvm::CallBase>(instruction);
  const llvm::StringRef name = function->getName();
  if (name == "__fms_barrier") return Suspension{Wait::kBlock, Operation::kNone};
  if (name == "__fms_barrier_reduce") return Suspension{Wait::kBlock, operation_of(call)};
  if (name == "__fms_warp") return Suspension{Wait::kWarp, operation_of(call)};
  if (name == "__fms_active_mask") return Suspension{Wait::kConverge, Operation::kActiveMask};
  return Suspension{};
}

llvm::Value* offered_value(const llvm::CallBase& call) {
  const llvm::StringRef name = call.getCalledFunction()->getName();
  if (name == "__fms_barrier_reduce") return call.getArgOperand(1);
  return name == "__fms_warp" ? call.getArgOperand(2) : nullptr;
}

llvm::Value* offered_mask(const llvm::CallBase& call) {
  return call.getCalledFunction()->getName() == "__fms_warp" ? call.getArgOperand(1) : nullptr;
}

llvm::Value* offered_source(const llvm::CallBase& call) {
  const auto suspension = suspension_of(call);
  return suspension && suspension->operation == Operation::kShuffle ? call.getArgOperand(3)
                                                                    : nullptr;
}

}  // namespace fms::cpu
