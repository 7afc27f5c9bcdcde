#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fms {

// An element type of kernels and arrays, by the names that NumPy and PyTorch use.
enum class DType : std::uint8_t {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kFloat8E4M3,
  kFloat8E5M2,
  kInt8,
  kUInt8,
  kInt16,
  kInt32,
  kUInt32,
  kInt64,
  kUInt64,
  kBool,
};

inline constexpr int kDTypeCount = 14;

std::string_view to_string(DType dtype);  // "float32", "bfloat16", "float8_e4m3fn", "bool", ...

// Also takes the short forms f32, f16, bf16, f64, e4m3, e5m2, i8, u8, i16, i32, u32, i64, u64.
std::optional<DType> parse_dtype(std::string_view text);

int size_of(DType dtype);  // bytes of one element

// How device code spells it ("float", "__half", "__nv_bfloat16", "long long"), and the toolkit
// header that declares it, or an empty string.
std::string_view device_spelling(DType dtype);
std::string_view device_header(DType dtype);

}  // namespace fms
