#ifndef FMS_ATTENTION_SM80_SCORES_CUH_
#define FMS_ATTENTION_SM80_SCORES_CUH_

#include "attention/mod_functions.cuh"
#include "attention/sm80_work.cuh"
#include "tile/infinity.cuh"
#include "tile/tanh.cuh"

namespace fms {

// From products of queries and keys to scores, masked: of a row tile, of which `row` and `key` are
// this thread's first.
template <typename Tile>
struct Sm80ScoreSteps {
  using Scores = float (&)[Tile::kWarpKeys / 2];
  // With a cap or a function of the user's, scores come out in units of log2. Else they stay
  // products, which scale_log2 takes there when they are weighed.
  enum : bool { kChanges = Tile::kSoftcap || HasScore<::Mods> };

  const Sm80Work<Tile>& work;
  const AttentionOptions& options;
  const ::Mods& mods;

  __device__ __forceinline__ void apply(Scores scores, int row, int key, bool hides) const {
    if constexpr (kChanges) change(scores, row, key);
    if (hides) hide(scores, row, key);
  }

 private:
  __device__ __forceinline__ void change(Scores scores, int row, int key) const {
#pragma unroll
    for (int i = 0; i < Tile::kWarpKeys / 2; ++i) {
      float score = __fmul_rn(scores[i], options.scale);
      if constexpr (Tile::kSoftcap) {
        score = __fmul_rn(options.softcap, tanh_fast(__fdividef(score, options.softcap)));
      }
      // No function is asked about a query or a key that isn't there.
      const int this_row = min(row + i / 2 % 2 * 8, work.rows() - 1);
      const int this_key = min(key + i / 4 * 8 + i % 2, work.sequence.seq_k - 1);
      score = modified_score(mods, score, work.batch, work.head + work.head_of(this_row),
                             work.query(this_row), this_key);
      scores[i] = __fmul_rn(score, kLog2E);
    }
  }
  // Scores of keys that a row doesn't see become -inf.
  __device__ __forceinline__ void hide(Scores scores, int row, int key) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int this_row = min(row + 8 * r, work.rows() - 1);
      const int query = work.query(this_row);
      const int begin = work.begin(query) - key, end = work.end(query) - key;
#pragma unroll
      for (int i = 0; i < Tile::kWarpKeys / 4; ++i) {
        const int at = i / 2 * 8 + i % 2;
        const bool sees =
            at < end && (!Tile::kWindow || at >= begin) &&
            sees_key(mods, work.batch, work.head + work.head_of(this_row), query, key + at);
        if (!sees) scores[i / 2 * 4 + i % 2 + 2 * r] = -infinity();
      }
    }
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_SCORES_CUH_
