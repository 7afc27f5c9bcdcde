#pragma once

#include <cstdint>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_plan.h"

namespace fms::attention {

// One of the four arrays, as its checks need it.
struct Array {
  const char* name = "";
  const void* data = nullptr;
  Strides strides;
  int heads = 1;
  std::int64_t rows = 0;
};

// An argument of every kernel: fms::AttentionOptions of attention/options.cuh.
struct DeviceOptions {
  int window_left = 0, window_right = 0;
  float softcap = 0, scale = 0;
  const float* sinks = nullptr;
  const std::int32_t* cu_seqlens_q = nullptr;
  const std::int32_t* cu_seqlens_k = nullptr;
  std::int64_t total_q = 0;
  const std::int32_t* table_counts = nullptr;
  const std::int32_t* table_tiles = nullptr;
  std::int64_t table_batch_stride = 0, table_head_stride = 0, table_width = 0;
};
static_assert(sizeof(DeviceOptions) == 88, "as on the device");

bool has_window(Mask mask);

// How the arrays may be reached, if the arguments can be used at all.
Result<Access> check_arguments(const Problem& problem, const Arguments& arguments);

// REQUIRES: check_arguments().
DeviceOptions device_options(const Problem& problem, const Arguments& arguments);

// The scale of the scores in units of log2.
float scale_log2(const Problem& problem, const Arguments& arguments);

}  // namespace fms::attention
