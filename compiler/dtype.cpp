#include "compiler/dtype.h"

#include <cstddef>

namespace fms {
namespace {

struct Row {
  std::string_view name, short_name, spelling, header;
  int size;
};

// In the order of DType.
constexpr std::array<Row, kDTypeCount> kRows = {{
    {"float32", "f32", "float", "", 4},
    {"float16", "f16", "__half", "cuda_fp16.h", 2},
    {"bfloat16", "bf16", "__nv_bfloat16", "cuda_bf16.h", 2},
    {"float64", "f64", "double", "", 8},
    {"float8_e4m3fn", "e4m3", "__nv_fp8_e4m3", "cuda_fp8.h", 1},
    {"float8_e5m2", "e5m2", "__nv_fp8_e5m2", "cuda_fp8.h", 1},
    {"int8", "i8", "signed char", "", 1},
    {"uint8", "u8", "unsigned char", "", 1},
    {"int16", "i16", "short", "", 2},
    {"int32", "i32", "int", "", 4},
    {"uint32", "u32", "unsigned", "", 4},
    {"int64", "i64", "long long", "", 8},
    {"uint64", "u64", "unsigned long long", "", 8},
    {"bool", "bool", "bool", "", 1},
}};

const Row& row(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::string_view to_string(DType dtype) { return row(dtype).name; }

std::optional<DType> parse_dtype(std::string_view text) {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (text == kRows[i].name || text == kRows[i].short_name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int size_of(DType dtype) { return row(dtype).size; }

std::string_view device_spelling(DType dtype) { return row(dtype).spelling; }

std::string_view device_header(DType dtype) { return row(dtype).header; }

}  // namespace fms
