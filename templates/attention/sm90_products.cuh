#ifndef FMS_ATTENTION_SM90_PRODUCTS_CUH_
#define FMS_ATTENTION_SM90_PRODUCTS_CUH_

#include "attention/sm90_work.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/wgmma.cuh"

namespace fms {

// A thread's part of its warpgroup's 64 queries. Weights are double: those of a tile are computed
// while those of the tile before are multiplied.
template <typename Tile>
struct AttentionFragments {
  float scores[Tile::kBlockN / 2];
  unsigned weights[2][Tile::kBlockN / 4];
  float output[Tile::kOutputColumns / 2];
  unsigned queries[Tile::kQueryRegisters ? 4 * Tile::kSteps : 1];
  unsigned slope[4];  // the left operand of AttentionSlope's step
};

// Reads the queries of this warp, rows of the swizzled tile at `shared`, as operands of wgmma.
template <typename Tile>
__device__ inline void load_queries(AttentionFragments<Tile>& fragments, unsigned shared) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned row = threadIdx.x % 128 / 32 * 16 + lane % 16;
#pragma unroll
  for (int step = 0; step < Tile::kSteps; ++step) {
    const unsigned chunk = (step % 4 * 2 + lane / 16) ^ (row % 8);
    load_matrices(&fragments.queries[4 * step],
                  shared + step / 4 * Tile::kQueryPanelBytes + row * 128 + chunk * 16);
  }
}

// Issues kSteps products of 16 columns from the kFirst-th on, all in one panel, of scores = q k^T.
template <int kFirst, int kSteps, typename Tile>
__device__ __forceinline__ void multiply_panel(AttentionFragments<Tile>& fragments,
                                               unsigned long long queries,
                                               unsigned long long keys) {
  using Product = Wgmma<typename Tile::Element, Tile::kBlockN>;
  constexpr int kPanel = kFirst / 4, kWithin = kFirst % 4 * 2;
  const unsigned long long b = keys + kPanel * (Tile::kKeyPanelBytes / 16) + kWithin;
  if constexpr (Tile::kQueryRegisters) {
    Product::template multiply_rs<kSteps, kFirst != 0, false, 2>(fragments.scores,
                                                                 &fragments.queries[4 * kFirst], b);
  } else {
    const unsigned long long a = queries + kPanel * (Tile::kQueryPanelBytes / 16) + kWithin;
    Product::template multiply_ss<kSteps, kFirst != 0, false, 2, 2>(fragments.scores, a, b);
  }
}

// Issues scores = q k^T, from the kFirst-th product on, with the slope's of `columns`, if any.
template <int kFirst = 0, typename Tile>
__device__ __forceinline__ void multiply_keys(AttentionFragments<Tile>& fragments,
                                              unsigned long long queries, unsigned long long keys,
                                              unsigned columns) {
  if constexpr (kFirst < Tile::kSteps) {
    constexpr int kSteps = kFirst + 4 <= Tile::kSteps ? 4 : 1;
    multiply_panel<kFirst, kSteps>(fragments, queries, keys);
    multiply_keys<kFirst + kSteps>(fragments, queries, keys, columns);
  } else {
    if constexpr (Tile::kSlopes) {
      // The slope has no part in columns 8 to 15, which may be any numbers: those of 0 to 7 again.
      Wgmma<typename Tile::Element, Tile::kBlockN>::template multiply_rs<1, true, false, 0>(
          fragments.scores, fragments.slope, unswizzled_tile(columns, 128, 0));
    }
    wgmma_commit();
  }
}

// Issues output += weights * v, from the kFirst-th product of 16 keys on.
template <typename Tile, int kFirst = 0>
__device__ __forceinline__ void multiply_values(float (&output)[Tile::kOutputColumns / 2],
                                                const unsigned (&weights)[Tile::kBlockN / 4],
                                                unsigned long long values) {
  if constexpr (kFirst < Tile::kBlockN / 16) {
    constexpr int kSteps = kFirst + 4 <= Tile::kBlockN / 16 ? 4 : 1;
    constexpr int kRows = 16 * 128 / 16;  // 16 rows of a panel
    using Product = Wgmma<typename Tile::Element, Tile::kOutputColumns>;
    Product::template multiply_rs<kSteps, true, true, kRows>(output, &weights[4 * kFirst],
                                                             values + kFirst * kRows);
    multiply_values<Tile, kFirst + kSteps>(output, weights, values);
  } else {
    wgmma_commit();
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_PRODUCTS_CUH_
