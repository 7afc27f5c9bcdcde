#ifndef FMS_ATTENTION_MODS_ALIBI_CUH_
#define FMS_ATTENTION_MODS_ALIBI_CUH_

// ALiBi (Press et al., 2022): a key counts the less the farther it is from the query, by a slope of
// each head's own. `offset` is seq_k - seq_q, where queries are the last of the sequence.
struct Mods {
  const float* slopes;
  int offset;

  __device__ float slope(int, int head) const { return slopes[head]; }
  __device__ int slope_offset(int) const { return offset; }
};

#endif  // FMS_ATTENTION_MODS_ALIBI_CUH_
