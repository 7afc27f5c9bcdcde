#pragma once

#include <llvm/ADT/DenseMap.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Function.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/kernel_profile.h"
#include "compiler/llvm/intrinsics.h"

namespace fms::cpu {

// One thread of a launch, that stands for `weight` of them.
struct SampleThread {
  std::array<std::uint32_t, 3> thread{}, block{};
  double weight = 1;
};

// Threads that stand for all of a launch in which only the places `used` decide what they do. Where
// the options have no grid, or no block, one place stands for all.
std::vector<SampleThread> sample_threads(const ProfileOptions& options,
                                         const std::vector<Place>& used);

// Values as one thread of the launch has them: those that are computed from its place alone.
class PlaceValues {
 public:
  PlaceValues(const llvm::Function& thread, const ProfileOptions& options);

  // True if at() can tell. Remembers the places that it is computed from.
  bool known(llvm::Value* value);
  const std::vector<Place>& places() const { return places_; }  // of all that was asked for

  // The values from now on are those of this thread.
  void go_to(const SampleThread& thread);
  // Null if it has no value there, such as 1 / 0. REQUIRES: known(value).
  llvm::Constant* at(llvm::Value* value);

 private:
  std::optional<std::uint32_t> place_value(Place place) const;
  bool has_place(Place place) const;
  bool computable(llvm::Instruction& instruction);

  const llvm::DataLayout& layout_;
  ProfileOptions options_;
  SampleThread sample_;
  std::vector<Place> places_;
  llvm::DenseMap<llvm::Value*, bool> known_;
  llvm::DenseMap<llvm::Value*, llvm::Constant*> values_;  // of the thread that it is at
};

}  // namespace fms::cpu
