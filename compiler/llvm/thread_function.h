#pragma once

#include <llvm/ADT/SetVector.h>
#include <llvm/IR/Function.h>

#include <string>
#include <vector>

#include "compiler/llvm/abi_types.h"
#include "compiler/llvm/cut.h"
#include "compiler/llvm/frame_layout.h"
#include "compiler/llvm/liveness.h"

namespace fms::cpu {

// What the table of a kernel says beside its regions.
struct KernelFacts {
  std::string entry;
  std::uint32_t static_smem_bytes = 0;
  std::uint32_t parameter_bytes = 0;
  bool checked = false;   // each lane runs alone, and block->thread says which
  bool stepwise = false;  // for debuggers: no vectors
};

// A kernel that is being taken apart, and all that its regions have in common.
struct RegionSource {
  RegionSource(const CutFunction& cut_function, const KernelFacts& kernel_facts);

  const CutFunction& cut;
  const KernelFacts& facts;
  llvm::Module& module;
  const AbiTypes types;
  const Liveness liveness;
  const FrameLayout frame;

  llvm::Type* type_of(unsigned variable) const {
    return cut.variables[variable].memory->getAllocatedType();
  }
  // Where the frame of a warp keeps a variable of that lane.
  llvm::Value* slot(llvm::IRBuilder<>& builder, llvm::Value* frame_address, unsigned variable,
                    llvm::Value* lane) const;
  // An internal function (block, warp, ...) of the cut function's target.
  llvm::Function* make_function(llvm::FunctionType* type, const std::string& name) const;
};

// The region of one cut point, for one thread.
struct ThreadFunction {
  // i32 (ptr block, ptr warp, lane / 16, lane % 16, x / 16, x % 16, y, z, uniform values...): the
  // next state.
  llvm::Function* function = nullptr;
  std::vector<unsigned> uniform;  // variables that it takes from the first lane of its row
  // The same and those that it only passes on: threads that go on together have to agree in them.
  std::vector<unsigned> agreed;
  llvm::SmallSetVector<unsigned, 4> successors;
};

ThreadFunction build_thread_function(const RegionSource& source, unsigned number);

}  // namespace fms::cpu
