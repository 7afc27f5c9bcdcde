#ifndef FMS_ATTENTION_SM80_ROWS_CUH_
#define FMS_ATTENTION_SM80_ROWS_CUH_

#include "attention/sm80_products.cuh"
#include "attention/sm80_ring.cuh"
#include "attention/sm80_scores.cuh"
#include "attention/sm80_work.cuh"
#include "tile/online_softmax.cuh"

namespace fms {

// What a warp has of its rows, and does with each tile of keys.
template <typename Tile>
struct Sm80Rows {
  const Sm80KeyTiles<Tile>& tiles;
  const Sm80ScoreSteps<Tile>& steps;
  const float scale_log2;                // of the scores as they are weighed
  const unsigned queries, keys, values;  // addresses: queries, and stage 0, as this lane reads
  const int row, key;                    // this thread's first, key in a tile
  Sm80Fragments<Tile> fragments;
  SoftmaxRows rows[Tile::kRowTiles];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
      rows[tile].clear();
#pragma unroll
      for (int i = 0; i < Tile::kValueDim / 2; ++i) fragments.output[tile][i] = 0.0f;
    }
  }
  __device__ __forceinline__ void keep_queries() {
#pragma unroll
    for (int step = 0; step < Tile::Keys::kSteps; ++step) {
      load_queries<Tile>(queries, step, fragments.queries[step]);
    }
  }

  // All tiles, one after the other.
  __device__ __forceinline__ void compute(Sm80Ring<Tile>& ring) {
#pragma unroll 1
    for (int visit = 0; visit < tiles.count; ++visit) {
      ring.take(visit);
      score(visit, ring.stage);
#pragma unroll
      for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
        float sum[2];
        if (weigh(tile, sum, fragments.weights[0][tile])) {
          weigh_anew(tile, sum, fragments.weights[0][tile]);
        }
        rows[tile].add(sum);
      }
      ring.take_values(visit);
      multiply_values(fragments, fragments.weights[0], values + ring.stage);
    }
  }

  // The same, but the values of a tile are multiplied while the next one's scores are weighed, in
  // one stretch of instructions without a branch. Code for the first and the last tile is apart:
  // with conditions in the loop for them, head dim 64 is 5 to 15 % slower.
  __device__ __forceinline__ void compute_overlapped(Sm80Ring<Tile>& ring) {
    if (tiles.count == 0) return;
    float sum[Tile::kRowTiles][2];
    ring.take(0);
    score(0, ring.stage);
#pragma unroll
    for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
      weigh_anew(tile, sum[tile], fragments.weights[0][tile]);
      rows[tile].add(sum[tile]);
    }
#pragma unroll 1
    for (int visit = 1; visit < tiles.count; ++visit) {
      ring.take(visit);
      score(visit, ring.stage);
      bool too_large[Tile::kRowTiles];
      multiply_values(fragments, fragments.weights[0], values + ring.stage);
#pragma unroll
      for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
        too_large[tile] = weigh(tile, sum[tile], fragments.weights[1][tile]);
      }
#pragma unroll
      for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
        if (too_large[tile]) weigh_anew(tile, sum[tile], fragments.weights[1][tile]);
        rows[tile].add(sum[tile]);
#pragma unroll
        for (int i = 0; i < Tile::kWarpKeys / 4; ++i) {
          fragments.weights[0][tile][i] = fragments.weights[1][tile][i];
        }
      }
    }
    ring.take(tiles.count);
    multiply_values(fragments, fragments.weights[0], values + ring.stage);
  }

 private:
  using Weights = unsigned (&)[Tile::kWarpKeys / 4];

  __device__ __forceinline__ void score(int visit, unsigned stage) {
    multiply_keys(fragments, queries, keys + stage);
    const int first_key = tiles.first_key(visit);
    const bool hides = tiles.is_partial(first_key) || (HasMask<::Mods> && tiles.asks_mask(visit));
#pragma unroll
    for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
      steps.apply(fragments.scores[tile], row + 16 * tile, first_key + key, hides);
    }
  }

  // The weights of a row tile's scores, packed. True if they are too large for the rows' maxima:
  // then they are to be weighed anew.
  __device__ __forceinline__ bool weigh(int tile, float (&sum)[2], Weights weights) const {
    // A row that has seen no key has the base -inf, and its weights are then infinite or NaN.
    const float base[2] = {softmax_base<Tile::kMaxLag>(rows[tile].max[0]),
                           softmax_base<Tile::kMaxLag>(rows[tile].max[1])};
    return weigh_scores<typename Tile::Element, 0, true>(fragments.scores[tile], scale_log2, base,
                                                         sum, weights);
  }
  // The same, when the rows' maxima are first raised to those of the scores, and what was weighed
  // before, output included, is rescaled.
  __device__ __forceinline__ void weigh_anew(int tile, float (&sum)[2], Weights weights) {
    float rescale[2], base[2];
    raise_max(fragments.scores[tile], scale_log2, rows[tile], rescale);
#pragma unroll
    for (int i = 0; i < Tile::kValueDim / 2; ++i) {
      float& output = fragments.output[tile][i];
      output = __fmul_rn(output, rescale[i / 2 % 2]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {  // without a key so far, any base will do
      const float max = rows[tile].max[r];
      base[r] = max == -infinity() ? 0.0f : softmax_base<Tile::kMaxLag>(max);
    }
    weigh_scores<typename Tile::Element, 0, true>(fragments.scores[tile], scale_log2, base, sum,
                                                  weights);
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_ROWS_CUH_
