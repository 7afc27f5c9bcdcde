#ifndef FMS_ATTENTION_SIMT_STORE_CUH_
#define FMS_ATTENTION_SIMT_STORE_CUH_

#include "attention/options.cuh"
#include "attention/simt_block.cuh"
#include "attention/simt_tile.cuh"

namespace fms {

// The sum of a row's weights, and what its output is to be multiplied by. A sink is a key with a
// score and no value: `max`, in units of log2, takes it in, and weights are relative to it then.
struct SimtRowSum {
  float max, sum, factor;

  template <typename Tile>
  static __device__ SimtRowSum of(float max, float sum, float sink) {
    if constexpr (!Tile::kSinks) {
      return {max, sum, sum == 0.0f ? 0.0f : __fdiv_rn(1.0f, sum)};
    } else {
      const float sink_log2 = __fmul_rn(sink, kLog2E);
      const float both = fmaxf(max, sink_log2);
      if (both == -infinity()) return {both, 0.0f, 0.0f};
      const float rescale = exp2_approx(__fsub_rn(max, both));
      const float whole = fmaf(sum, rescale, exp2_approx(__fsub_rn(sink_log2, both)));
      return {both, whole, __fdiv_rn(rescale, whole)};
    }
  }
};

// Divides by the sum and writes the rows of this thread, of which `o` and `lse` are those of query
// 0. Rows that saw no key are 0, and -inf.
template <typename Tile>
__device__ inline void store_rows(const SimtAttentionRows<Tile>& rows,
                                  const SimtAttentionBlock<Tile>& block, int group, int lane,
                                  float sink, typename Tile::Element* o, long long row_stride,
                                  float* lse) {
  using T = typename Tile::Element;
  constexpr int kStored = Tile::kVectorLoads ? Tile::kWidth : 1;
  using Stored = Pack<T, kStored>;
#pragma unroll
  for (int r = 0; r < Tile::kRows; ++r) {
    const int row = block.first + group + r * Tile::kRowGroups;
    const SimtRowSum sum =
        SimtRowSum::of<Tile>(rows.max[r], lanes_sum<Tile::kLanes>(rows.sum[r]), sink);
    if (!Tile::SeqQ::divides_by(Tile::kBlockM) && row >= block.sequence.seq_q) continue;
    T* out = o + row * row_stride;
#pragma unroll
    for (int c = 0; c < Tile::kColumns; c += kStored) {
      const int column =
          c / Tile::kWidth * Tile::kLanes * Tile::kWidth + lane * Tile::kWidth + c % Tile::kWidth;
      Stored stored;
#pragma unroll
      for (int e = 0; e < kStored; ++e) {
        stored.element[e] = Element<T>::store(__fmul_rn(rows.output[r][c + e], sum.factor));
      }
      if (column < Tile::kValueDim) *reinterpret_cast<Stored*>(out + column) = stored;
    }
    if constexpr (Tile::kReturnLse) {
      if (lane == 0) lse[row] = sum.sum == 0.0f ? -infinity() : fmaf(sum.max, kLn2, logf(sum.sum));
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SIMT_STORE_CUH_
