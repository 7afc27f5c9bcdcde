#include "runtime/ops/attention_elements.h"

#include <bit>
#include <cmath>
#include <limits>

namespace fms::attention {
namespace {

float half_to_float(std::uint16_t bits) {
  const int sign = bits >> 15, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                              : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return sign != 0 ? -magnitude : magnitude;
}

}  // namespace

float element(const void* array, std::int64_t index, DType dtype) {
  if (dtype == DType::kFloat32) return static_cast<const float*>(array)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(array)[index];
  if (dtype == DType::kFloat16) return half_to_float(bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::int64_t row_start(const Strides& strides, std::span<const std::int32_t> cu_seqlens, int batch,
                       int head, int row) {
  const std::int64_t start = head * strides.head + row * strides.row;
  if (cu_seqlens.empty()) return start + batch * strides.batch;
  return start + std::int64_t{cu_seqlens[static_cast<std::size_t>(batch)]} * strides.row;
}

}  // namespace fms::attention
