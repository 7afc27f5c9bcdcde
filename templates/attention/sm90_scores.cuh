#ifndef FMS_ATTENTION_SM90_SCORES_CUH_
#define FMS_ATTENTION_SM90_SCORES_CUH_

// From products of queries and keys to what the softmax takes.

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/sm90_slope.cuh"
#include "attention/sm90_work.cuh"
#include "tile/infinity.cuh"
#include "tile/softcap.cuh"

namespace fms {

// Hides the scores of keys that a row doesn't see, of those from `limit` on: the upper row sees
// `limit` keys of the tile, the lower `lower_limit`. Each score is chosen, and not assigned under
// an `if`: both come to the same instructions, but 64 branches keep the optimiser for long.
template <int kScores>
__device__ __forceinline__ void mask_scores(float (&scores)[kScores], int limit, int lower_limit) {
  const int column = threadIdx.x % 4 * 2;
  limit -= column;
  lower_limit -= column;
#pragma unroll
  for (int i = 0; i < kScores; ++i) {
    const bool hidden = i / 4 * 8 + i % 2 >= (i % 4 < 2 ? limit : lower_limit);
    scores[i] = hidden ? -infinity() : scores[i];
  }
}

// The same for keys at the beginning of the tile, of which a row doesn't see `limit`.
template <int kScores>
__device__ __forceinline__ void mask_first_scores(float (&scores)[kScores], int limit,
                                                  int lower_limit) {
  const int column = threadIdx.x % 4 * 2;
  limit -= column;
  lower_limit -= column;
#pragma unroll
  for (int i = 0; i < kScores; ++i) {
    const bool hidden = i / 4 * 8 + i % 2 < (i % 4 < 2 ? limit : lower_limit);
    scores[i] = hidden ? -infinity() : scores[i];
  }
}

// An index as a user's function takes it, as int or as float: the latter costs no conversion, which
// is a slow instruction that the exponentials need too.
struct AttentionIndex {
  int number;
  float exact;  // up to 2^24

  __device__ operator int() const { return number; }
  __device__ operator float() const { return exact; }
};

// A tile of queries on its way through the keys, as one thread sees it.
template <typename Tile>
struct AttentionRow {
  const AttentionShape<Tile>& shape;
  const AttentionWork<Tile>& work;
  int row;                     // the thread's upper query; the lower one is 8 further
  unsigned long long queries;  // descriptor
  // Tiles of keys from `from` on and below `whole` are seen whole by all rows of the warpgroup, as
  // far as the kernel's own mask goes.
  int whole, from;
  AttentionSlope<Tile> slope;

  __device__ AttentionRow(const AttentionShape<Tile>& shape, const AttentionWork<Tile>& work,
                          const typename Tile::Mods& mods, int warpgroup, int row,
                          unsigned long long queries)
      : shape(shape),
        work(work),
        row(row),
        queries(queries),
        slope(mods, shape, work, work.first + 64 * warpgroup, row) {
    const int first = work.first + 64 * warpgroup;
    whole = max(min(work.visible(shape, first), work.sequence.seq_k), 0) / Tile::kBlockN;
    from = 0;
    if constexpr (Tile::kWindow) {
      from = (max(work.unseen(shape, first + 63), 0) + Tile::kBlockN - 1) / Tile::kBlockN;
    }
  }

  // Whether the kernel's own mask hides something of a tile.
  __device__ __forceinline__ bool cuts(int tile) const {
    return (Tile::kMasked && tile >= whole) || (Tile::kWindow && tile < from);
  }
  __device__ __forceinline__ void mask(float (&scores)[Tile::kBlockN / 2], int tile) const {
    const int end = work.sequence.seq_k - tile * Tile::kBlockN;
    const int limit = work.visible(shape, row) - tile * Tile::kBlockN;
    if constexpr (Tile::kWindow) {
      const int lower_limit = work.visible(shape, row + 8) - tile * Tile::kBlockN;
      mask_scores(scores, min(limit, end), min(lower_limit, end));
    } else {
      mask_scores(scores, min(limit, end), min(limit + (Tile::kMasked ? 8 : 0), end));
    }
  }
  __device__ __forceinline__ void mask_first(float (&scores)[Tile::kBlockN / 2], int tile) const {
    mask_first_scores(scores, work.unseen(shape, row) - tile * Tile::kBlockN,
                      work.unseen(shape, row + 8) - tile * Tile::kBlockN);
  }
};

// What products go through before they are masked, and what the softmax then multiplies them by.
template <typename Tile>
struct AttentionScores {
  const typename Tile::Mods& mods;
  float scale_log2;  // of what apply() leaves
  float inner;       // what it multiplies products by
  float cap;

  __device__ AttentionScores(const AttentionOptions& options, const typename Tile::Mods& mods,
                             float scale_log2)
      : mods(mods), scale_log2(scale_log2), inner(0.0f), cap(0.0f) {
    if constexpr (Tile::kSoftcap) {
      inner = __fdiv_rn(options.scale, options.softcap);
      if constexpr (!Tile::kTanhApprox) inner = __fmul_rn(4.0f, inner);  // for tanh_of_quarter()
      cap = options.softcap;
      this->scale_log2 = __fmul_rn(options.softcap, kLog2E);
    }
    if constexpr (Tile::kHasScore) {
      if constexpr (!Tile::kSoftcap) inner = options.scale;
      this->scale_log2 = kLog2E;
    }
  }

  // Calls f(score, query, key) for all scores of this thread. With kEdge the tile may reach past
  // the last key: functions are then called with the last one's index.
  template <bool kEdge, typename Function>
  __device__ __forceinline__ void each(float (&scores)[Tile::kBlockN / 2],
                                       const AttentionRow<Tile>& row, int tile, Function f) const {
    const int last_query = row.work.sequence.seq_q - 1, last_key = row.work.sequence.seq_k - 1;
    int query[2] = {row.row, row.row + 8};
    if constexpr (!Tile::kWholeQueries) {
      query[0] = min(query[0], last_query);
      query[1] = min(query[1], last_query);
    }
    const float exact_query[2] = {float(query[0]), float(query[1])};
    const int first = tile * Tile::kBlockN + threadIdx.x % 4 * 2;
    const float exact_first = float(first), exact_last = float(last_key);
#pragma unroll
    for (int i = 0; i < Tile::kBlockN / 2; ++i) {
      const int column = i / 4 * 8 + i % 2, r = i / 2 % 2;
      AttentionIndex key{first + column, __fadd_rn(exact_first, float(column))};
      if constexpr (kEdge) {
        key.number = min(key.number, last_key);
        key.exact = fminf(key.exact, exact_last);
      }
      f(scores[i], AttentionIndex{query[r], exact_query[r]}, key);
    }
  }

  // What makes natural units of what cap_all() leaves.
  __device__ float natural() const { return Tile::kSoftcap ? cap : inner; }

  // Of products, up to where the cap's two ways part: whether some are too large for the fast one.
  __device__ __forceinline__ bool begin(float (&scores)[Tile::kBlockN / 2]) const {
    if constexpr (Tile::kSoftcap && !Tile::kTanhApprox) return scale_all(scores, inner);
    return false;
  }
  __device__ __forceinline__ void cap_all(float (&scores)[Tile::kBlockN / 2], bool large) const {
    if constexpr (Tile::kSoftcap && Tile::kTanhApprox) {
#pragma unroll
      for (int i = 0; i < Tile::kBlockN / 2; ++i) {
        scores[i] = tanh_approx(__fmul_rn(scores[i], inner));
      }
    } else if constexpr (Tile::kSoftcap) {
      if (large) {
#pragma unroll
        for (int i = 0; i < Tile::kBlockN / 2; ++i) scores[i] = tanh_of_quarter(scores[i]);
      } else {
#pragma unroll
        for (int i = 0; i < Tile::kBlockN / 2; ++i) scores[i] = tanh_of_small_quarter(scores[i]);
      }
    }
  }
  // The user's function, after biases that come through shared memory.
  template <bool kEdge>
  __device__ __forceinline__ void apply(float (&scores)[Tile::kBlockN / 2],
                                        const AttentionRow<Tile>& row, int entry) const {
    if constexpr (Tile::kHasScore && (Tile::kHasScoreFunction || Tile::kBiasStages == 0)) {
      const int batch = row.work.batch, head = row.work.head;
      each<kEdge>(scores, row, row.work.tile_of(entry),
                  [&](float& score, AttentionIndex query, AttentionIndex key) {
                    if constexpr (Tile::kBiasStages == 0) {
                      score = __fmul_rn(score, natural());
                      if constexpr (Tile::kHasBiasRow) {
                        score = __fadd_rn(score, number_in(mods.bias_row(batch, head, query), key));
                      }
                    }
                    if constexpr (fms::HasSlope<typename Tile::Mods>) {
                      score = sloped_score(mods, score, batch, head, query, key);
                    } else if constexpr (Tile::kHasScoreFunction) {
                      score = mods.score(score, batch, head, query, key);
                    }
                  });
    }
  }
  template <bool kEdge>
  __device__ __forceinline__ void mask(float (&scores)[Tile::kBlockN / 2],
                                       const AttentionRow<Tile>& row, int entry) const {
    if constexpr (Tile::kHasMask) {
      const int batch = row.work.batch, head = row.work.head;
      if (row.work.is_partial(entry)) {
        each<kEdge>(scores, row, row.work.tile_of(entry),
                    [&](float& score, AttentionIndex query, AttentionIndex key) {
                      if (!mods.mask(batch, head, query, key)) score = -infinity();
                    });
      }
    }
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_SCORES_CUH_
