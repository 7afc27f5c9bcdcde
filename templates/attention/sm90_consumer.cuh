#ifndef FMS_ATTENTION_SM90_CONSUMER_CUH_
#define FMS_ATTENTION_SM90_CONSUMER_CUH_

#include "attention/sm90_biases.cuh"
#include "attention/sm90_products.cuh"
#include "attention/sm90_scores.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/named_barrier.cuh"
#include "ptx/tma.cuh"
#include "tile/infinity.cuh"
#include "tile/online_softmax.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// A consumer warpgroup: what it does with a tile of queries, and where it is in the rings.
//
// Warps of a warpgroup may disagree on whether maxima have grown, but never on which wgmma
// instruction is next: that depends on the number of the tile alone.
template <typename Tile>
struct AttentionConsumer {
  const AttentionRings<Tile>& rings;
  const AttentionShape<Tile>& shape;
  const AttentionScores<Tile> scoring;
  const int warpgroup;
  typename Tile::KeyPipeline::Position key_at, value_at;
  typename Tile::QueryPipeline::Position query_at;
  typename Tile::BiasPipeline::Position bias_at;
  bool key_ready = false, value_ready = false;  // seen full ahead of time
  int next_entry = 0;                           // of a block table, read ahead of its use
  int side = 0;                                 // AttentionSlope's, of the tile
  float distance;                               // and its distance from the diagonal
  float shift[2];                               // what its scores lack

  // In turn: a warpgroup goes on when the one before has issued its products.
  __device__ __forceinline__ void take_turn() const {
    if constexpr (Tile::kPingPong) named_barrier_sync(1 + warpgroup, 256);
  }
  __device__ __forceinline__ void pass_turn() const {
    if constexpr (Tile::kPingPong) {
      named_barrier_arrive(1 + (warpgroup + 1) % Tile::kWarpgroups, 256);
    }
  }

  __device__ __forceinline__ void issue_scores(AttentionFragments<Tile>& fragments,
                                               unsigned long long queries) {
    wgmma_fence();
    multiply_keys(fragments, queries, swizzled_tile(rings.key(key_at.stage), 1024, 0),
                  rings.columns());
  }
  __device__ __forceinline__ void issue_output(AttentionFragments<Tile>& fragments,
                                               const unsigned (&weights)[Tile::kBlockN / 4]) {
    if (!value_ready) rings.values().wait_full(value_at);
    wgmma_fence();
    multiply_values<Tile>(fragments.output, weights,
                          swizzled_tile(rings.value(value_at.stage), 1024, Tile::kKeyPanelBytes));
  }
  // Waits for the scores, of which kPending later products may be in flight.
  template <int kPending>
  __device__ __forceinline__ void finish_scores(AttentionFragments<Tile>& fragments) {
    Wgmma<typename Tile::Element, Tile::kBlockN>::template wait<kPending>(fragments.scores);
    rings.keys().release(key_at);
    key_at.step();
  }
  __device__ __forceinline__ void wait_output(AttentionFragments<Tile>& fragments) const {
    Wgmma<typename Tile::Element, Tile::kOutputColumns>::template wait<0>(fragments.output);
  }
  __device__ __forceinline__ void finish_output(AttentionFragments<Tile>& fragments) {
    wait_output(fragments);
    rings.values().release(value_at);
    value_at.step();
  }
  // Asks whether the next tiles are there; the answers are, by the time they are needed.
  __device__ __forceinline__ void peek() {
    auto next = value_at;
    next.step();
    key_ready = rings.keys().is_full(key_at);
    value_ready = rings.values().is_full(next);
  }

  // Of a tile, whose products are next.
  __device__ __forceinline__ void take_side(AttentionFragments<Tile>& fragments,
                                            const AttentionRow<Tile>& row, int entry) {
    if constexpr (Tile::kSlopes) {
      const int tile = row.work.tile_of(entry);
      side = row.slope.side(tile);
      distance = row.slope.distance(tile);
      row.slope.shift(distance, side, shift);
      row.slope.operand(side, fragments.slope);
    }
  }
  // Of a tile, whose products are in flight.
  __device__ __forceinline__ void wait_biases() const {
    if constexpr (Tile::kBiasStages > 0) {
      auto at = bias_at;
#pragma unroll
      for (int piece = 0; piece < Tile::kBiasPieces; ++piece, at.step()) {
        rings.biases(warpgroup).wait_full(at);
      }
    }
  }
  template <int kFirst = 0>
  __device__ __forceinline__ void add_pieces(AttentionFragments<Tile>& fragments,
                                             typename Tile::BiasPipeline::Position at) const {
    add_biases<typename Tile::Element, kFirst>(fragments.scores, scoring.natural(),
                                               rings.bias(warpgroup, at.stage));
    if constexpr (Tile::kBiasesAtOnce) {
      fence_async_proxy();
      rings.biases(warpgroup).release(at);
    }
    at.step();
    if constexpr (kFirst + 32 < Tile::kBlockN / 2) add_pieces<kFirst + 32>(fragments, at);
  }
  // When what was read of a tile has been used, and not only asked for: an arrival at a barrier
  // doesn't wait for loads before it, and copies into their buffer overtook them (7 of 40 runs
  // differed at head dim 128). A fence waits, where the next tile can't wait so long.
  __device__ __forceinline__ void release_biases() {
    if constexpr (Tile::kBiasStages > 0) {
#pragma unroll
      for (int piece = 0; piece < Tile::kBiasPieces; ++piece, bias_at.step()) {
        if constexpr (!Tile::kBiasesAtOnce) rings.biases(warpgroup).release(bias_at);
      }
    }
  }
  // All that products go through but masks.
  template <bool kEdge>
  __device__ __forceinline__ void shape_scores(AttentionFragments<Tile>& fragments, bool large,
                                               const AttentionRow<Tile>& row, int entry) {
    scoring.cap_all(fragments.scores, large);
    if constexpr (Tile::kBiasStages > 0) {
      add_pieces(fragments, bias_at);
    }
    scoring.template apply<kEdge>(fragments.scores, row, entry);
  }

  // Makes scores of the products of a tile. With kFirst it is the first one that is visited, which
  // alone may reach past the last key.
  template <bool kFirst>
  __device__ __forceinline__ void finish_tile(AttentionFragments<Tile>& fragments, bool large,
                                              const AttentionRow<Tile>& row, int entry) {
    constexpr bool kEdge = kFirst && !Tile::kWholeKeys;
    const int tile = row.work.tile_of(entry);
    shape_scores<kEdge>(fragments, large, row, entry);
    scoring.template mask<kEdge>(fragments.scores, row, entry);
    if ((Tile::kMasked || kEdge) && tile >= row.whole) row.mask(fragments.scores, tile);
    if (Tile::kWindow && tile < row.from) row.mask_first(fragments.scores, tile);
  }

  __device__ __forceinline__ bool weigh(const AttentionFragments<Tile>& fragments,
                                        const float (&base)[2], float (&sum)[2],
                                        unsigned (&weights)[Tile::kBlockN / 4]) const {
    float relative[2] = {base[0], base[1]};
    if constexpr (Tile::kSlopes) {
      relative[0] = __fsub_rn(base[0], shift[0]);
      relative[1] = __fsub_rn(base[1], shift[1]);
    }
    return weigh_scores<typename Tile::Element, Tile::kPolynomials, !Tile::kSumColumn>(
        fragments.scores, scoring.scale_log2, relative, sum, weights);
  }
  // For weights of scores whose maxima are known, after raise_max().
  __device__ __forceinline__ void weigh_anew(const AttentionFragments<Tile>& fragments,
                                             const SoftmaxRows& rows, float (&sum)[2],
                                             unsigned (&weights)[Tile::kBlockN / 4]) const {
    float base[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {  // without a key so far, any base will do
      base[r] = rows.max[r] == -infinity() ? 0.0f : softmax_base<Tile::kMaxLag>(rows.max[r]);
    }
    weigh(fragments, base, sum, weights);
  }

  // Makes weights of the products of a tile that isn't the first, where these go through more than
  // the kernel's own mask.
  __device__ __forceinline__ bool weigh_products(AttentionFragments<Tile>& fragments,
                                                 const SoftmaxRows& rows,
                                                 const AttentionRow<Tile>& row, int entry,
                                                 float (&sum)[2],
                                                 unsigned (&weights)[Tile::kBlockN / 4]) {
    float base[2] = {softmax_base<Tile::kMaxLag>(rows.max[0]),
                     softmax_base<Tile::kMaxLag>(rows.max[1])};
    const bool large = scoring.begin(fragments.scores);
    const bool partial = Tile::kHasMask && row.work.is_partial(entry);
    if (!(large || partial || row.cuts(row.work.tile_of(entry)))) {
      // Without a branch before the exponentials, all of this is done beside them.
      shape_scores<false>(fragments, false, row, entry);
      return weigh(fragments, base, sum, weights);
    }
    finish_tile<false>(fragments, large, row, entry);
    if (__any_sync(0xffffffffu, rows.max[0] == -infinity() || rows.max[1] == -infinity())) {
      allow_unseen(fragments, rows, base);
    }
    return weigh(fragments, base, sum, weights);
  }

  // The next tile: its scores; under them the product of the weights of the tile before,
  // weights[kFrom], with its values; and under that the weights of this one, to the other half.
  // False if these are too large: then the scores stand, to be weighed anew.
  template <int kFrom>
  __device__ __forceinline__ bool step(AttentionFragments<Tile>& fragments, SoftmaxRows& rows,
                                       const AttentionRow<Tile>& row, int at) {
    const int entry = Tile::kBlockTable ? next_entry : row.work.entry(at);
    if constexpr (Tile::kBlockTable) next_entry = row.work.entry(at - 1);
    if (!key_ready) rings.keys().wait_full(key_at);
    take_side(fragments, row, entry);
    take_turn();
    issue_scores(fragments, row.queries);
    issue_output(fragments, fragments.weights[kFrom]);
    pass_turn();
    wait_biases();
    finish_scores<1>(fragments);
    peek();
    float sum[2];
    bool too_large;
    if constexpr (Tile::kSoftcap || Tile::kHasScore || Tile::kHasMask) {
      too_large = weigh_products(fragments, rows, row, entry, sum, fragments.weights[1 - kFrom]);
    } else {
      finish_tile<false>(fragments, false, row, entry);
      // A row that has seen no key has the base -inf, and its weights are then infinite or NaN.
      const float base[2] = {softmax_base<Tile::kMaxLag>(rows.max[0]),
                             softmax_base<Tile::kMaxLag>(rows.max[1])};
      too_large = weigh(fragments, base, sum, fragments.weights[1 - kFrom]);
    }
    // That the diagonal crosses the tile is seen to where it is weighed anew, not in the loop.
    if constexpr (Tile::kSlopes) too_large |= side == 0;
    hold_wait_below<Tile::kHoldByStore>(too_large, rings.scratch());
    release_biases();  // all are in what was just asked
    finish_output(fragments);
    keep_registers(fragments.weights[kFrom]);
    if (too_large) return false;
    rows.sum[0] = __fadd_rn(rows.sum[0], sum[0]);
    rows.sum[1] = __fadd_rn(rows.sum[1], sum[1]);
    return true;
  }

  // Rows that have seen no key so far, and see none of this tile in this thread, get a base that
  // makes weights of 0: else a mask that hides whole tiles of a row would have each weighed anew.
  __device__ __forceinline__ void allow_unseen(const AttentionFragments<Tile>& fragments,
                                               const SoftmaxRows& rows, float (&base)[2]) const {
    float max[2] = {-infinity(), -infinity()};
#pragma unroll
    for (int i = 0; i < Tile::kBlockN / 2; ++i) {
      max[i / 2 % 2] = fmaxf(max[i / 2 % 2], fragments.scores[i]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (rows.max[r] == -infinity() && max[r] == -infinity()) base[r] = 0.0f;
    }
  }

  // All tiles below the `at`-th, of which the weights are in weights[0], as those of the last will
  // be. False if it stopped, at `at`, because maxima have grown.
  __device__ __forceinline__ bool steps(AttentionFragments<Tile>& fragments, SoftmaxRows& rows,
                                        const AttentionRow<Tile>& row, int& at) {
    const int begin = row.work.begin();
    if constexpr (Tile::kUnrolled) {
      // Two tiles a round, so that the halves of the weights change places twice; the first round
      // of an odd number of tiles begins in the middle.
      bool from_first = (at - begin) % 2 == 0;
      if (!from_first) copy_weights(fragments.weights[0], fragments.weights[1]);
#pragma unroll 1
      while (at > begin) {
        if (from_first && !step<0>(fragments, rows, row, --at)) return false;
        from_first = true;
        if (!step<1>(fragments, rows, row, --at)) return false;
      }
    } else {
#pragma unroll 1
      while (at > begin) {
        if (!step<0>(fragments, rows, row, --at)) return false;
        // Plain moves ptxas would spread to where the products run. That this adds 0, it can't
        // know.
        const unsigned zero = blockIdx.z;
#pragma unroll
        for (int i = 0; i < Tile::kBlockN / 4; ++i) {
          fragments.weights[0][i] = fragments.weights[1][i] + zero;
        }
      }
    }
    return true;
  }

  __device__ __forceinline__ void copy_weights(const unsigned (&from)[Tile::kBlockN / 4],
                                               unsigned (&to)[Tile::kBlockN / 4]) const {
#pragma unroll
    for (int i = 0; i < Tile::kBlockN / 4; ++i) to[i] = from[i];
  }

  // Zeros, in a tile of values that is there, the rows from `keys` on: those of the next sequence,
  // of which weights of 0 would make NaN where they are infinite or NaN. Every warpgroup does, so
  // that none waits for another.
  __device__ __forceinline__ void clear_values(int keys) {
    rings.values().wait_full(value_at);
    const unsigned tile = rings.value(value_at.stage);
#pragma unroll
    for (int panel = 0; panel < Tile::kValuePanels; ++panel) {
      for (int i = keys * 8 + threadIdx.x % 128; i < Tile::kBlockN * 8; i += 128) {
        store_shared_zeros(tile + panel * Tile::kKeyPanelBytes + i * 16);
      }
    }
    fence_async_proxy();
    named_barrier_sync(4 + warpgroup, 128);
  }

  // Computes a tile of queries; `first_row` is this thread's upper one.
  __device__ __forceinline__ void compute(const AttentionWork<Tile>& work, int first_row,
                                          AttentionFragments<Tile>& fragments, SoftmaxRows& rows) {
    rows.clear();
#pragma unroll
    for (int i = 0; i < Tile::kOutputColumns / 2; ++i) fragments.output[i] = 0.0f;
    if (work.sees_none()) return;
    const unsigned query_tile = rings.query(query_at.stage) + warpgroup * 64 * 128;
    const AttentionRow<Tile> row(shape, work, scoring.mods, warpgroup, first_row,
                                 swizzled_tile(query_tile, 1024, 0));
    int at = work.end - 1;
    const int entry = work.entry(at);
    if constexpr (Tile::kBlockTable) next_entry = work.entry(at - 1);

    rings.queries().wait_full(query_at);
    if constexpr (Tile::kQueryRegisters) load_queries(fragments, query_tile);
    rings.keys().wait_full(key_at);
    take_side(fragments, row, entry);
    issue_scores(fragments, row.queries);
    wait_biases();
    finish_scores<0>(fragments);
    finish_tile<true>(fragments, scoring.begin(fragments.scores), row, entry);
    if constexpr (Tile::kPacked) {
      const int keys = work.sequence.seq_k - work.tile_of(entry) * Tile::kBlockN;
      if (keys < Tile::kBlockN) clear_values(keys);
    }
    key_ready = value_ready = false;
    if constexpr (Tile::kBiasStages > 0 && !Tile::kBiasesAtOnce) fence_async_proxy();
    release_biases();
    // The first tile, and later ones of which the maxima are much larger, or that slopes' diagonal
    // crosses. The latter are few: outside of the loop in steps() they don't lengthen it.
#pragma unroll 1
    do {
      float rescale[2], sum[2];
      if constexpr (Tile::kSlopes) {
        if (side == 0) row.slope.apply(fragments.scores, distance);
      }
      raise_max<Tile::kSlopes>(fragments.scores, scoring.scale_log2, rows, rescale, shift);
#pragma unroll
      for (int i = 0; i < Tile::kOutputColumns / 2; ++i) {
        fragments.output[i] = __fmul_rn(fragments.output[i], rescale[i / 2 % 2]);
      }
      weigh_anew(fragments, rows, sum, fragments.weights[0]);
      rows.sum[0] = __fadd_rn(rows.sum[0], sum[0]);
      rows.sum[1] = __fadd_rn(rows.sum[1], sum[1]);
    } while (!steps(fragments, rows, row, at));
    rings.queries().release(query_at);
    query_at.step();
    issue_output(fragments, fragments.weights[0]);
    finish_output(fragments);
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_CONSUMER_CUH_
