#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "compiler/dtype.h"

namespace fms {

// The bits of the float16 nearest to x, ties to even.
inline std::uint16_t to_float16(float x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float magnitude = std::abs(x);
  if (std::isnan(x)) return 0x7fff;
  if (magnitude == 0) return sign;
  if (magnitude >= 65520) return sign | 0x7c00;
  int exponent = 0;
  std::frexp(magnitude, &exponent);              // magnitude < 2^exponent
  const int ulp = std::max(exponent - 11, -24);  // subnormals are multiples of 2^-24
  const float units = std::nearbyint(std::ldexp(magnitude, -ulp));
  // 1024 units more is one exponent more, also where rounding carries.
  return sign | static_cast<std::uint16_t>(static_cast<int>(units) + (ulp + 24) * 1024);
}

inline float from_float16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -24)
                              : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// The bits of the bfloat16 nearest to x, ties to even. REQUIRES: x is finite.
inline std::uint16_t to_bfloat16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Elements of a floating dtype in host memory. New elements are NaN: all bits set.
class HostArray {
 public:
  HostArray(DType dtype, std::size_t size)
      : dtype_(dtype), bytes_(size * size_of(dtype), std::byte{0xff}) {}

  void set(std::size_t i, float x) {
    if (dtype_ == DType::kFloat32) {
      std::memcpy(&bytes_[i * 4], &x, 4);
    } else {
      const std::uint16_t bits = dtype_ == DType::kFloat16 ? to_float16(x) : to_bfloat16(x);
      std::memcpy(&bytes_[i * 2], &bits, 2);
    }
  }

  // Normal numbers of that standard deviation, the same for the same seed.
  void fill_normal(unsigned seed, float deviation = 1) {
    std::mt19937 bits(seed);
    std::normal_distribution<float> normal(0, deviation);
    const std::size_t count = bytes_.size() / size_of(dtype_);
    for (std::size_t i = 0; i < count; ++i) set(i, normal(bits));
  }

  const void* data() const { return bytes_.data(); }
  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  DType dtype_;
  std::vector<std::byte> bytes_;
};

}  // namespace fms
