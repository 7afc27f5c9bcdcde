#pragma once

// Internal. Not installed.

#include <emmintrin.h>

#include <bit>
#include <cstdint>
#include <string_view>

#include "compiler/cpu_abi.h"

namespace fms::cpu {

// The lanes of `mask` in increasing order: for (Lanes l(mask); l; ++l) use(*l);
class Lanes {
 public:
  explicit Lanes(std::uint32_t mask) : mask_(mask) {}
  explicit operator bool() const { return mask_ != 0; }
  std::uint32_t operator*() const { return static_cast<std::uint32_t>(std::countr_zero(mask_)); }
  Lanes& operator++() {
    mask_ &= mask_ - 1;
    return *this;
  }

 private:
  std::uint32_t mask_;
};

inline constexpr std::uint32_t kAllLanes = 0xffff'ffff;

// The lanes that have `number`, of a number by lane. Every step of a warp asks.
inline std::uint32_t lanes_with(const std::uint32_t (&numbers)[kWarpSize], std::uint32_t number) {
  const __m128i wanted = _mm_set1_epi32(static_cast<int>(number));
  std::uint32_t lanes = 0;
  for (std::uint32_t lane = 0; lane < kWarpSize; lane += 4) {
    const __m128i four = _mm_load_si128(reinterpret_cast<const __m128i*>(numbers + lane));
    const int equal = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(four, wanted)));
    lanes |= static_cast<std::uint32_t>(equal) << lane;
  }
  return lanes;
}

// Does an operation of a warp among the lanes of `group`, which offer their warp.value and have the
// result there. A shuffle from a lane that isn't one of them leaves the value as it is.
void perform(Operation operation, Warp& warp, std::uint32_t group);

// What a thread waits at, as it is written in CUDA: "__syncthreads", "__shfl_sync", ...
std::string_view name_of(Wait wait, Operation operation);

}  // namespace fms::cpu
