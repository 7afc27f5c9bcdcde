#pragma once

#include <cstdint>
#include <vector>

#include "compiler/llvm/cut.h"
#include "compiler/llvm/liveness.h"

namespace fms::cpu {

// Where a warp's frame keeps what its threads remember: each variable with all its lanes side by
// side, then the private memory of each lane in one piece, since its address may be taken.
class FrameLayout {
 public:
  FrameLayout(const CutFunction& cut, const Liveness& liveness);

  // False: no thread is ever suspended, and none has private memory.
  bool is_needed() const { return is_needed_; }
  std::uint64_t bytes() const { return bytes_; }  // a multiple of 64; 0 if it isn't needed

  std::uint64_t offset(unsigned variable) const { return offsets_[variable]; }
  std::uint64_t size(unsigned variable) const { return sizes_[variable]; }  // of one lane

  std::uint64_t private_stride() const { return private_stride_; }  // from lane to lane
  // Of lane 0.
  std::uint64_t private_offset(std::size_t i) const { return private_base_ + privates_[i]; }

 private:
  void place_variables(const CutFunction& cut, const Liveness& liveness);
  void place_privates(const CutFunction& cut);

  bool is_needed_;
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> offsets_, sizes_, privates_;
  std::uint64_t private_base_ = 0, private_stride_ = 0;
};

}  // namespace fms::cpu
