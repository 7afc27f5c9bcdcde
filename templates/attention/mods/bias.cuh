#ifndef FMS_ATTENTION_MODS_BIAS_CUH_
#define FMS_ATTENTION_MODS_BIAS_CUH_

#include "tile/element.cuh"

// What an element of the bias is; T: as those of q.
#ifndef FMS_BIAS_ELEMENT
#define FMS_BIAS_ELEMENT float
#endif

// A number added to each score. A stride of 0 has all indices of its dimension use the same ones;
// -inf hides a key.
struct Mods {
  const FMS_BIAS_ELEMENT* bias;
  long long batch_stride, head_stride, query_stride, key_stride;

  __device__ float score(float score, int batch, int head, int query, int key) const {
    const long long at =
        batch * batch_stride + head * head_stride + query * query_stride + key * key_stride;
    return score + fms::Element<FMS_BIAS_ELEMENT>::load(bias[at]);
  }
};

#endif  // FMS_ATTENTION_MODS_BIAS_CUH_
