#pragma once

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/Instructions.h>

#include <string>
#include <vector>

#include "compiler/llvm/intrinsics.h"

namespace fms::cpu {

// Where a thread goes on after a suspension; the first is the kernel's start.
struct CutPoint {
  Suspension suspension;
  llvm::CallInst* call = nullptr;            // null: the start. Ends its block
  llvm::BasicBlock* continuation = nullptr;  // where it goes on
  std::string file;                          // empty: not known
  unsigned line = 0;
};

// Something that a thread remembers from one region to the next: written and read as a whole.
struct Variable {
  llvm::AllocaInst* memory = nullptr;
  bool uniform = false;
};

// A kernel that runs one thread, prepared to be taken apart at its cut points: no value but
// variables, private memory and the arguments lives from one region to the next.
struct CutFunction {
  llvm::Function* function = nullptr;
  std::vector<CutPoint> points;
  std::vector<Variable> variables;
  std::vector<llvm::AllocaInst*> privates;  // arrays and others whose address is taken
};

// What a suspending call has given, at the start of its continuation: i64().
inline constexpr char kTaken[] = "__fms_taken";

// True if it reads a kernel argument, which nothing changes while the kernel runs.
bool is_argument_load(const llvm::Instruction& instruction);

// Cuts `function`: at each suspension, and at the head of each loop that has none in it. The loop's
// body is then free of loops, and runs for several threads at a time.
//
// Values that are computed in a few instructions from places and arguments are computed again in
// each region and take no memory: it is by them that the compiler sees which threads read
// neighbouring elements.
CutFunction cut(llvm::Function& function);

}  // namespace fms::cpu
