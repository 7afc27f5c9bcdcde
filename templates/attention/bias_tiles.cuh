#ifndef FMS_ATTENTION_BIAS_TILES_CUH_
#define FMS_ATTENTION_BIAS_TILES_CUH_

// As attention/mods/bias.cuh, of an array of the type of q that can be copied as tiles.
// runtime/ops/attention_bias.h makes the struct.

#include "ptx/tensor_map.cuh"

struct Mods {
  fms::TensorMap map;  // (keys, queries, heads or 1, batches or 1), boxes of 64 by 64, 128B swizzle
  const T* data;
  long long batch_stride, head_stride, query_stride;  // elements

  __device__ const T* bias_row(int batch, int head, int query) const {
    return data + batch * batch_stride + head * head_stride + query * query_stride;
  }
  __device__ const fms::TensorMap& bias_map() const { return map; }
  __device__ int map_batch(int batch) const { return batch_stride == 0 ? 0 : batch; }
  __device__ int map_head(int head) const { return head_stride == 0 ? 0 : head; }
};

#endif  // FMS_ATTENTION_BIAS_TILES_CUH_
