#pragma once

#include <cstdint>
#include <span>

#include "runtime/ops/attention.h"

namespace fms::attention {

// An element of an array in host memory: float32, float16 or bfloat16.
float element(const void* array, std::int64_t index, DType dtype);

// Where a row begins. `row` counts from where its sequence does, if there are `cu_seqlens`.
std::int64_t row_start(const Strides& strides, std::span<const std::int32_t> cu_seqlens, int batch,
                       int head, int row);

}  // namespace fms::attention
