#ifndef FMS_ATTENTION_SM90_STORE_CUH_
#define FMS_ATTENTION_SM90_STORE_CUH_

#include "attention/options.cuh"
#include "attention/sm90_products.cuh"
#include "ptx/pack.cuh"
#include "tile/lanes.cuh"
#include "tile/online_softmax.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// What a row's output is to be multiplied by, and its log-sum-exp.
struct AttentionRowSum {
  float factor, lse;

  // `base` is what weights are relative to, in units of log2, -inf without a key.
  template <typename Tile>
  static __device__ AttentionRowSum of(float base, float sum, float sink) {
    if constexpr (!Tile::kSinks) {
      return {sum == 0.0f ? 0.0f : __fdividef(1.0f, sum),
              sum == 0.0f ? -infinity() : fmaf(base, kLn2, logf(sum))};
    } else {
      // A sink is a key with a score and no value.
      const float sink_log2 = __fmul_rn(sink, kLog2E);
      const float top = fmaxf(base, sink_log2);
      if (sum == 0.0f || top == -infinity()) return {0.0f, sink};
      const float rescale = exp2_approx(__fsub_rn(base, top));
      const float whole = fmaf(sum, rescale, exp2_approx(__fsub_rn(sink_log2, top)));
      return {__fdividef(rescale, whole), fmaf(top, kLn2, logf(whole))};
    }
  }
};

// Divides by the sum and writes the two rows of this thread. Rows that saw no key are 0, and the
// sink, or -inf.
template <typename Tile>
__device__ __forceinline__ void store_rows(const AttentionFragments<Tile>& fragments,
                                           const SoftmaxRows& rows, int row, int seq_q, float sink,
                                           typename Tile::Element* o, long long row_stride,
                                           float* lse) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r, row += 8) {
    float sum;
    if constexpr (Tile::kSumColumn) {
      sum = __shfl_sync(0xffffffffu, fragments.output[Tile::kValueDim / 2 + 2 * r], 0, 4);
    } else {
      sum = lanes_sum<4>(rows.sum[r]);
    }
    const AttentionRowSum whole =
        AttentionRowSum::of<Tile>(softmax_base<Tile::kMaxLag>(rows.max[r]), sum, sink);
    const bool inside = Tile::kWholeQueries || row < seq_q;
    typename Tile::Element* out = o + row * row_stride;
#pragma unroll
    for (int column = 0; column < Tile::kValueDim; column += 32) {
      unsigned packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = (column / 8 + i) * 4 + 2 * r;
        packed[i] =
            at < Tile::kValueDim / 2
                ? pack<typename Tile::Element>(__fmul_rn(fragments.output[at], whole.factor),
                                               __fmul_rn(fragments.output[at + 1], whole.factor))
                : 0;
      }
      transpose_quad(packed);
      if (inside && column + 8 * lane < Tile::kValueDim) {
        store_vector(out + column + 8 * lane, packed);
      }
    }
    if constexpr (Tile::kReturnLse) {
      if (inside && lane == 0) lse[row] = whole.lse;
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_STORE_CUH_
