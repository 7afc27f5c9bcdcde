#ifndef FMS_ATTENTION_MODS_ALIBI_CUH_
#define FMS_ATTENTION_MODS_ALIBI_CUH_

// ALiBi (Press et al., 2022): a key counts the less the farther it is from the query, by a slope of
// each head's own. `offset` is seq_k - seq_q, where queries are the last of the sequence.
struct Mods {
  const float* slopes;
  int offset;

  // Indices as floats: to convert an int the tensor cores' kernels would wait for.
  __device__ float score(float score, int, int head, float query, float key) const {
    return score - slopes[head] * fabsf(query + float(offset) - key);
  }
};

#endif  // FMS_ATTENTION_MODS_ALIBI_CUH_
