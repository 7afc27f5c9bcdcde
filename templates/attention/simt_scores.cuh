#ifndef FMS_ATTENTION_SIMT_SCORES_CUH_
#define FMS_ATTENTION_SIMT_SCORES_CUH_

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/simt_block.cuh"
#include "attention/simt_tile.cuh"
#include "tile/tanh.cuh"

namespace fms {

// From products of queries and keys to scores in units of log2, masked.
template <typename Tile>
struct SimtScoreSteps {
  const SimtAttentionBlock<Tile>& block;
  const AttentionOptions& options;
  const ::Mods& mods;
  float scale_log2;
  int group, lane;

  // Calls f(score, query, key) for the scores of this thread that are inside of the sequence.
  template <typename Function>
  __device__ void each_inside(SimtScores<Tile>& scores, int first_key, Function f) const {
#pragma unroll
    for (int r = 0; r < Tile::kRows; ++r) {
      const int query = block.first + group + r * Tile::kRowGroups;
#pragma unroll
      for (int j = 0; j < Tile::kKeys; ++j) {
        const int key = first_key + lane + j * Tile::kLanes;
        if (query < block.sequence.seq_q && key < block.sequence.seq_k) f(scores[r][j], query, key);
      }
    }
  }

  __device__ float scaled(float product) const {
    constexpr bool kNatural = HasScore<::Mods>;
    if constexpr (!Tile::kSoftcap) return __fmul_rn(product, kNatural ? options.scale : scale_log2);
    const float inside = __fmul_rn(product, __fdiv_rn(options.scale, options.softcap));
    return __fmul_rn(tanh_accurate(inside),
                     kNatural ? options.softcap : __fmul_rn(options.softcap, kLog2E));
  }

  // `masked`: kMask, or the end of the keys, hides some of the tile; `asks_mask`: Mods does.
  __device__ void apply(SimtScores<Tile>& scores, int first_key, bool masked,
                        bool asks_mask) const {
#pragma unroll
    for (int r = 0; r < Tile::kRows; ++r) {
#pragma unroll
      for (int j = 0; j < Tile::kKeys; ++j) scores[r][j] = scaled(scores[r][j]);
    }
    if constexpr (HasScore<::Mods>) {
      each_inside(scores, first_key, [&](float& score, int query, int key) {
        score = __fmul_rn(modified_score(mods, score, block.batch, block.head, query, key), kLog2E);
      });
    }
    if constexpr (HasMask<::Mods>) {
      if (asks_mask) {
        each_inside(scores, first_key, [&](float& score, int query, int key) {
          if (!sees_key(mods, block.batch, block.head, query, key)) score = -infinity();
        });
      }
    }
    if (masked) {
      const int end = Tile::kMasked ? block.end - first_key + group : Tile::kBlockN;
      mask_scores<Tile, Tile::kWindow>(scores, lane, block.sequence.seq_k - first_key,
                                       block.begin - first_key + group, end,
                                       Tile::kMasked ? Tile::kRowGroups : 0);
    }
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SIMT_SCORES_CUH_
