#ifndef FMS_ATTENTION_SM90_STORE_CUH_
#define FMS_ATTENTION_SM90_STORE_CUH_

#include "attention/sm90_products.cuh"
#include "ptx/pack.cuh"
#include "tile/lanes.cuh"
#include "tile/online_softmax.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// Divides by the sum and writes the two rows of this thread. Rows that saw no key are 0, and -inf.
template <typename Tile>
__device__ __forceinline__ void store_rows(const AttentionFragments<Tile>& fragments,
                                           const SoftmaxRows& rows, int row, int seq_q,
                                           typename Tile::Element* o, long long row_stride,
                                           float* lse) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r, row += 8) {
    float sum;
    if constexpr (Tile::kSumColumn) {
      sum = __shfl_sync(0xffffffffu, fragments.output[Tile::kHeadDim / 2 + 2 * r], 0, 4);
    } else {
      sum = lanes_sum<4>(rows.sum[r]);
    }
    const float inverse = sum == 0.0f ? 0.0f : __fdividef(1.0f, sum);
    const bool inside = Tile::SeqQ::divides_by(Tile::kBlockM) || row < seq_q;
    typename Tile::Element* out = o + row * row_stride;
#pragma unroll
    for (int column = 0; column < Tile::kHeadDim; column += 32) {
      unsigned packed[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = (column / 8 + i) * 4 + 2 * r;
        packed[i] = at < Tile::kHeadDim / 2
                        ? pack<typename Tile::Element>(__fmul_rn(fragments.output[at], inverse),
                                                       __fmul_rn(fragments.output[at + 1], inverse))
                        : 0;
      }
      transpose_quad(packed);
      if (inside && column + 8 * lane < Tile::kHeadDim) {
        store_vector(out + column + 8 * lane, packed);
      }
    }
    if constexpr (Tile::kReturnLse) {
      constexpr float kLn2 = 0.693147180559945309f;
      if (inside && lane == 0) {
        lse[row] = sum == 0.0f ? -infinity()
                               : fmaf(softmax_base<Tile::kMaxLag>(rows.max[r]), kLn2, logf(sum));
      }
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_STORE_CUH_
