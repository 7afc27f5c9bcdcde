#pragma once

#include <llvm/IR/Module.h>

namespace fms::cpu {

struct Checks {
  bool address = false;
  bool race = false;

  bool any() const { return address || race; }
};

// Puts a call of fms_cpu_access in front of each access to memory that isn't provably right: one of
// constant place inside of a local or shared variable of known size can't be out of bounds, and a
// local one can't be raced for.
//
// Run early, while the source's accesses are still all there, but after local variables have become
// values.
void instrument(llvm::Module& module, const Checks& checks);

// The image's variables as an array of cpu::ImageVariable, for the kernel's table. `count` is how
// many.
llvm::Constant* list_variables(llvm::Module& module, std::uint64_t& count);

}  // namespace fms::cpu
