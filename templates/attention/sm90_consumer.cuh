#ifndef FMS_ATTENTION_SM90_CONSUMER_CUH_
#define FMS_ATTENTION_SM90_CONSUMER_CUH_

#include "attention/sm90_products.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/named_barrier.cuh"
#include "tile/infinity.cuh"
#include "tile/online_softmax.cuh"

namespace fms {

// A consumer warpgroup: what it does with a tile of queries, and where it is in the rings.
//
// Warps of a warpgroup may disagree on whether maxima have grown, but never on which wgmma
// instruction is next: that depends on the number of the tile alone.
template <typename Tile>
struct AttentionConsumer {
  const AttentionRings<Tile>& rings;
  const AttentionShape<Tile>& shape;
  const float scale_log2;
  const int warpgroup;
  typename Tile::KeyPipeline::Position key_at, value_at;
  typename Tile::QueryPipeline::Position query_at;
  bool key_ready = false, value_ready = false;  // seen full ahead of time

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
    multiply_keys(fragments, queries, swizzled_tile(rings.key(key_at.stage), 1024, 0));
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

  __device__ __forceinline__ void mask(AttentionFragments<Tile>& fragments, int row,
                                       int tile) const {
    const int end = shape.seq_k - tile * Tile::kBlockN;
    const int limit = shape.visible(row) - tile * Tile::kBlockN;
    mask_scores(fragments.scores, min(limit, end), min(limit + (Tile::kMasked ? 8 : 0), end));
  }

  __device__ __forceinline__ bool weigh(const AttentionFragments<Tile>& fragments,
                                        const float (&base)[2], float (&sum)[2],
                                        unsigned (&weights)[Tile::kBlockN / 4]) const {
    return weigh_scores<typename Tile::Element, Tile::kPolynomials, !Tile::kSumColumn>(
        fragments.scores, scale_log2, base, sum, weights);
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

  // The next tile: its scores; under them the product of the weights of the tile before,
  // weights[kFrom], with its values; and under that the weights of this one, to the other half.
  // False if these are too large: then the scores stand, to be weighed anew.
  template <int kFrom>
  __device__ __forceinline__ bool step(AttentionFragments<Tile>& fragments, SoftmaxRows& rows,
                                       unsigned long long queries, int row, int tile, int whole) {
    if (!key_ready) rings.keys().wait_full(key_at);
    take_turn();
    issue_scores(fragments, queries);
    issue_output(fragments, fragments.weights[kFrom]);
    pass_turn();
    finish_scores<1>(fragments);
    peek();
    if (Tile::kMasked && tile >= whole) mask(fragments, row, tile);
    // A row that has seen no key has the base -inf, and its weights are then infinite or NaN.
    const float base[2] = {softmax_base<Tile::kMaxLag>(rows.max[0]),
                           softmax_base<Tile::kMaxLag>(rows.max[1])};
    float sum[2];
    bool too_large = weigh(fragments, base, sum, fragments.weights[1 - kFrom]);
    hold_wait_below<Tile::kHoldByStore>(too_large, rings.scratch());
    finish_output(fragments);
    keep_registers(fragments.weights[kFrom]);
    if (too_large) return false;
    rows.sum[0] = __fadd_rn(rows.sum[0], sum[0]);
    rows.sum[1] = __fadd_rn(rows.sum[1], sum[1]);
    return true;
  }

  // All tiles below `tile`, of which the weights are in weights[0], as those of the last will be.
  // False if it stopped, at `tile`, because maxima have grown.
  __device__ __forceinline__ bool steps(AttentionFragments<Tile>& fragments, SoftmaxRows& rows,
                                        unsigned long long queries, int row, int& tile, int whole) {
    if constexpr (Tile::kUnrolled) {
      // Two tiles a round, so that the halves of the weights change places twice; the first round
      // of an odd number of tiles begins in the middle.
      bool begin = tile % 2 == 0;
      if (!begin) copy_weights(fragments.weights[0], fragments.weights[1]);
#pragma unroll 1
      while (tile > 0) {
        if (begin && !step<0>(fragments, rows, queries, row, --tile, whole)) return false;
        begin = true;
        if (!step<1>(fragments, rows, queries, row, --tile, whole)) return false;
      }
    } else {
#pragma unroll 1
      while (tile > 0) {
        if (!step<0>(fragments, rows, queries, row, --tile, whole)) return false;
        // Plain moves ptxas would spread to where the products run. That this adds 0, it can't
        // know.
        const unsigned zero = blockIdx.y;
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

  // Computes a tile of queries; `row` is this thread's upper one.
  __device__ __forceinline__ void compute(const AttentionWork<Tile>& work, int row,
                                          AttentionFragments<Tile>& fragments, SoftmaxRows& rows) {
    rows.clear();
#pragma unroll
    for (int i = 0; i < Tile::kOutputColumns / 2; ++i) fragments.output[i] = 0.0f;
    if (work.tiles == 0) return;
    // Tiles below this are seen whole by all rows of the warpgroup.
    const int whole =
        max(min(shape.visible(work.first + 64 * warpgroup), shape.seq_k), 0) / Tile::kBlockN;
    const unsigned query_tile = rings.query(query_at.stage) + warpgroup * 64 * 128;
    const unsigned long long queries = swizzled_tile(query_tile, 1024, 0);

    rings.queries().wait_full(query_at);
    if constexpr (Tile::kQueryRegisters) load_queries(fragments, query_tile);
    rings.keys().wait_full(key_at);
    issue_scores(fragments, queries);
    finish_scores<0>(fragments);
    int tile = work.tiles - 1;
    if ((Tile::kMasked || !Tile::SeqK::divides_by(Tile::kBlockN)) && tile >= whole)
      mask(fragments, row, tile);
    key_ready = value_ready = false;
    // The first tile, and later ones of which the maxima are much larger. The latter are few:
    // outside of the loop in steps() they don't lengthen it.
#pragma unroll 1
    do {
      float rescale[2], sum[2];
      raise_max(fragments.scores, scale_log2, rows, rescale);
#pragma unroll
      for (int i = 0; i < Tile::kOutputColumns / 2; ++i) {
        fragments.output[i] = __fmul_rn(fragments.output[i], rescale[i / 2 % 2]);
      }
      weigh_anew(fragments, rows, sum, fragments.weights[0]);
      rows.sum[0] = __fadd_rn(rows.sum[0], sum[0]);
      rows.sum[1] = __fadd_rn(rows.sum[1], sum[1]);
    } while (!steps(fragments, rows, queries, row, tile, whole));
    rings.queries().release(query_at);
    query_at.step();
    issue_output(fragments, fragments.weights[0]);
    finish_output(fragments);
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_CONSUMER_CUH_
