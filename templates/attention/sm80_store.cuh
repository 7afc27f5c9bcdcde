#ifndef FMS_ATTENTION_SM80_STORE_CUH_
#define FMS_ATTENTION_SM80_STORE_CUH_

#include "attention/options.cuh"
#include "attention/sm80_work.cuh"
#include "attention/strides.cuh"
#include "ptx/exp2.cuh"
#include "ptx/pack.cuh"
#include "tile/infinity.cuh"
#include "tile/lanes.cuh"
#include "tile/online_softmax.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// The sum of a row's weights, what these are relative to, as a power of 2, and what the output is
// to be multiplied by. A sink is one more score, of a key without a value.
template <typename Tile>
struct Sm80RowSum {
  float base, sum, factor;

  __device__ Sm80RowSum(float max, float own_sum, float sink) {
    base = softmax_base<Tile::kMaxLag>(max);
    sum = lanes_sum<4>(own_sum);
    float rescale = 1.0f;
    if constexpr (Tile::kSinks) {
      const float sink_log2 = __fmul_rn(sink, kLog2E);
      const float both = fmaxf(base, sink_log2);
      if (both != -infinity()) {
        rescale = exp2_approx(__fsub_rn(base, both));
        sum = fmaf(sum, rescale, exp2_approx(__fsub_rn(sink_log2, both)));
        base = both;
      }
    }
    factor = sum == 0.0f ? 0.0f : __fmul_rn(rescale, __fdividef(1.0f, sum));
  }
};

// Divides by the sum and writes kColumns columns, from `first_column` on, of the two rows of this
// thread, the upper one `row`; `o` and `lse` are those of query 0 and the first head. Rows that saw
// no key are 0, and -inf or the sink.
template <typename Tile, int kColumns>
__device__ __forceinline__ void store_columns(const float (&output)[kColumns / 2], int first_column,
                                              const SoftmaxRows& rows, const Sm80Work<Tile>& work,
                                              const float* sinks, int row,
                                              typename Tile::Element* o,
                                              const AttentionStrides& o_strides, float* lse,
                                              long long lse_head_stride) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r, row += 8) {
    const bool inside = Tile::kWholeRows || row < work.rows();
    const int query = work.query(row), head = work.head_of(row);
    const Sm80RowSum<Tile> sum(rows.max[r], rows.sum[r],
                               Tile::kSinks ? sinks[work.head + head] : 0.0f);
    typename Tile::Element* const out = o + (query * o_strides.row + head * o_strides.head);
#pragma unroll
    for (int column = 0; column < kColumns; column += 32) {
      unsigned packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = (column / 8 + i) * 4 + 2 * r;
        packed[i] = at < kColumns / 2
                        ? pack<typename Tile::Element>(__fmul_rn(output[at], sum.factor),
                                                       __fmul_rn(output[at + 1], sum.factor))
                        : 0;
      }
      transpose_quad(packed);
      const int to = first_column + column + 8 * lane;
      if (inside && to < Tile::kValueDim) store_vector(out + to, packed);
    }
    if constexpr (Tile::kReturnLse) {
      if (inside && lane == 0 && first_column == 0) {
        lse[head * lse_head_stride + query] =
            sum.sum == 0.0f ? -infinity() : fmaf(sum.base, kLn2, logf(sum.sum));
      }
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_STORE_CUH_
