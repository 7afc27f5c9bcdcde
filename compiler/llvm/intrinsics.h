#pragma once

#include <llvm/IR/Function.h>
#include <llvm/IR/InstrTypes.h>
#include <llvm/IR/Instructions.h>

#include <optional>

#include "compiler/cpu_abi.h"

namespace fms::cpu {

// The functions by which the prelude (compiler/llvm/prelude) speaks to the compiler. All but these
// are ordinary code.

// What tells a thread where it is.
enum class Place {
  kThreadX,
  kThreadY,
  kThreadZ,
  kBlockX,
  kBlockY,
  kBlockZ,
  kBlockDimX,
  kBlockDimY,
  kBlockDimZ,
  kGridDimX,
  kGridDimY,
  kGridDimZ,
  kThread,  // linear index in the block
  kDynamicSmem,
  kShared,  // where the block's shared memory is; made by the compiler itself
};

// Nothing: the function is no such one.
std::optional<Place> place_of(const llvm::Function* function);
std::optional<Place> place_of(const llvm::Value* value);  // a call of one

inline constexpr char kSharedBase[] = "__fms_shared";  // ptr()

// A point at which a thread waits for others.
struct Suspension {
  Wait wait = Wait::kNothing;
  Operation operation = Operation::kNone;
};

// The head of a loop, where the other threads are let through.
inline constexpr char kLoopHead[] = "__fms_loop_head";

bool suspends(const llvm::Function* function);
// Nothing: no call of one. REQUIRES: the operation is a constant, as the prelude sees to.
std::optional<Suspension> suspension_of(const llvm::Instruction& instruction);

// What a suspending call offers, or null: of its operands.
llvm::Value* offered_value(const llvm::CallBase& call);
llvm::Value* offered_mask(const llvm::CallBase& call);
llvm::Value* offered_source(const llvm::CallBase& call);

// Address spaces that clang gives to CUDA's variables (its fake map).
inline constexpr unsigned kDeviceSpace = 7, kConstantSpace = 8, kSharedSpace = 9;

}  // namespace fms::cpu
