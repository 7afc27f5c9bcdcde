#ifndef FMS_ATTENTION_SEQUENCE_CUH_
#define FMS_ATTENTION_SEQUENCE_CUH_

#include "attention/options.cuh"

namespace fms {

// The queries and keys of one element of the batch.
struct AttentionSequence {
  int seq_q, seq_k;
  long long q_row, k_row;  // its first rows in packed arrays; 0 in others

  // Row of a query in packed lse, which is (heads, total_q), or else (batch, heads, seq_q).
  template <bool kPacked>
  __device__ long long lse_row(const AttentionOptions& options, int batch_head, int head) const {
    if constexpr (kPacked) return head * options.total_q + q_row;
    return static_cast<long long>(batch_head) * seq_q;
  }
};

// kPacked: `seq_q` and `seq_k` are the most that any has, and this one's come from where it begins.
template <bool kPacked>
__device__ inline AttentionSequence attention_sequence(const AttentionOptions& options, int batch,
                                                       int seq_q, int seq_k) {
  if constexpr (!kPacked) {
    return {seq_q, seq_k, 0, 0};
  } else {
    const int q = options.cu_seqlens_q[batch], k = options.cu_seqlens_k[batch];
    return {options.cu_seqlens_q[batch + 1] - q, options.cu_seqlens_k[batch + 1] - k, q, k};
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SEQUENCE_CUH_
