#ifndef FMS_ATTENTION_SM80_STORE_CUH_
#define FMS_ATTENTION_SM80_STORE_CUH_

#include "attention/options.cuh"
#include "attention/sm80_products.cuh"
#include "attention/sm80_work.cuh"
#include "attention/strides.cuh"
#include "ptx/exp2.cuh"
#include "ptx/pack.cuh"
#include "tile/infinity.cuh"
#include "tile/lanes.cuh"
#include "tile/online_softmax.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// Warps that share rows: the first of them gets what all have, in their order. `shared` is no
// longer in use as tiles once all warps have come here.
template <typename Tile>
__device__ __forceinline__ void join_key_warps(Sm80Fragments<Tile>& fragments,
                                               SoftmaxRows (&rows)[Tile::kRowTiles], float* shared,
                                               int row_warp, int key_warp) {
  constexpr int kOutput = Tile::kValueDim / 2, kFloats = kOutput + 4;  // of a row tile
  const auto place = [&](int warp, int tile) {  // of this lane's values; a warp's lie side by side
    const int slot = (warp - 1) * Tile::kRowWarps + row_warp;
    return shared + (slot * Tile::kRowTiles + tile) * kFloats * 32 + threadIdx.x % 32;
  };
  __syncthreads();
  if (key_warp > 0) {
#pragma unroll
    for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
      float* const to = place(key_warp, tile);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        to[r * 32] = rows[tile].max[r];
        to[(2 + r) * 32] = rows[tile].sum[r];
      }
#pragma unroll
      for (int i = 0; i < kOutput; ++i) to[(4 + i) * 32] = fragments.output[tile][i];
    }
  }
  __syncthreads();
  if (key_warp > 0) return;
#pragma unroll 1
  for (int warp = 1; warp < Tile::kKeyWarps; ++warp) {
#pragma unroll
    for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
      const float* const from = place(warp, tile);
      float mine[2], theirs[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float other = from[r * 32];
        const float max = fmaxf(rows[tile].max[r], other);
        mine[r] = max == -infinity() ? 1.0f : exp2_approx(__fsub_rn(rows[tile].max[r], max));
        theirs[r] = max == -infinity() ? 1.0f : exp2_approx(__fsub_rn(other, max));
        rows[tile].max[r] = max;
        rows[tile].sum[r] =
            fmaf(from[(2 + r) * 32], theirs[r], __fmul_rn(rows[tile].sum[r], mine[r]));
      }
#pragma unroll
      for (int i = 0; i < kOutput; ++i) {
        float& output = fragments.output[tile][i];
        output = fmaf(from[(4 + i) * 32], theirs[i / 2 % 2], __fmul_rn(output, mine[i / 2 % 2]));
      }
    }
  }
}

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

// Divides by the sum and writes the two rows of this thread, the upper one `row`; `o` and `lse` are
// those of query 0 and the first head. Rows that saw no key are 0, and -inf or the sink.
template <typename Tile>
__device__ __forceinline__ void store_row_tile(const float (&output)[Tile::kValueDim / 2],
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
    for (int column = 0; column < Tile::kValueDim; column += 32) {
      unsigned packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = (column / 8 + i) * 4 + 2 * r;
        packed[i] = at < Tile::kValueDim / 2
                        ? pack<typename Tile::Element>(__fmul_rn(output[at], sum.factor),
                                                       __fmul_rn(output[at + 1], sum.factor))
                        : 0;
      }
      transpose_quad(packed);
      if (inside && column + 8 * lane < Tile::kValueDim) {
        store_vector(out + column + 8 * lane, packed);
      }
    }
    if constexpr (Tile::kReturnLse) {
      if (inside && lane == 0) {
        lse[head * lse_head_stride + query] =
            sum.sum == 0.0f ? -infinity() : fmaf(sum.base, kLn2, logf(sum.sum));
      }
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_STORE_CUH_
