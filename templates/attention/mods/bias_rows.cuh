#ifndef FMS_ATTENTION_MODS_BIAS_ROWS_CUH_
#define FMS_ATTENTION_MODS_BIAS_ROWS_CUH_

// As bias_tiles.cuh, for arrays that can't be copied as tiles.
struct Mods {
  const T* data;
  long long batch_stride, head_stride, query_stride;  // elements

  __device__ const T* bias_row(int batch, int head, int query) const {
    return data + batch * batch_stride + head * head_stride + query * query_stride;
  }
};

#endif  // FMS_ATTENTION_MODS_BIAS_ROWS_CUH_
