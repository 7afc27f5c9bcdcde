#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/dtype.h"
#include "compiler/result.h"

namespace fms::program {

// An array in memory, in C order, as a .npy file holds it.
//
// NumPy has no bfloat16 and no float8. A bfloat16 array is written as uint16 and read from uint16
// or from two opaque bytes ("V2", what ml_dtypes writes); `stored_as_bits` is then true, for a
// caller that wants the user to confirm it. float8 arrays are written, and read back, as uint8.
struct NpyArray {
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;  // empty: one element
  std::vector<std::byte> data;
  bool stored_as_bits = false;
};

// "64x1024"; "scalar" for an empty shape.
std::string shape_to_string(std::span<const std::int64_t> shape);

// Bytes of an array of that type and shape, or an error if a length is negative or the product
// doesn't fit.
Result<std::size_t> byte_count(DType dtype, std::span<const std::int64_t> shape);

// Reads versions 1.0, 2.0 and 3.0 of the format, little endian, C order. Fortran order, big endian
// and structured types are refused (kUnsupported), with what to do in NumPy; anything malformed is
// kCorrupt. Never allocates more than `bytes` holds. `name` is for messages.
Result<NpyArray> parse_npy(std::span<const std::byte> bytes, std::string_view name);

Result<NpyArray> read_npy(const std::filesystem::path& file);

// The bytes of the file: version 1.0, the data aligned to 64 bytes.
// REQUIRES: data has byte_count(dtype, shape) bytes.
std::vector<std::byte> format_npy(const NpyArray& array);

// Replaces `file` whole or not at all.
Result<void> write_npy(const std::filesystem::path& file, const NpyArray& array);

}  // namespace fms::program
