#ifndef FMS_ATTENTION_SM90_BIASES_CUH_
#define FMS_ATTENTION_SM90_BIASES_CUH_

#include "attention/sm90_schedule.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/pack.cuh"
#include "ptx/tma.cuh"

namespace fms {

// Has the schedule go through those batches, or heads, abreast that have the same biases.
template <typename Tile>
__device__ inline void note_shared_biases(AttentionShape<Tile>& shape,
                                          const typename Tile::Mods& mods) {
  if constexpr (Tile::kSharesBiases) {
    shape.batches_share = mods.map_batch(1) == 0;
    const bool heads_share = !shape.batches_share && mods.map_head(1) == 0;
    const int batches = shape.batch_heads / shape.heads;
    shape.sharers = shape.batches_share ? batches : heads_share ? shape.heads : 1;
  }
}

// One thread: loads what its warpgroup will ask for, panels of its 64 queries by 64 keys, ahead of
// it.
template <typename Tile>
__device__ inline void produce_biases(const AttentionRings<Tile>& rings,
                                      const AttentionShape<Tile>& shape,
                                      TileSchedule<Tile::kPairs> schedule,
                                      const typename Tile::Mods& mods, int warpgroup) {
  const auto ring = rings.biases(warpgroup);
  typename Tile::BiasPipeline::Position at;
  AttentionPlace<Tile> place;
  for (; place.find(shape, schedule.position()); schedule.step()) {
    const AttentionWork<Tile> work(shape, place, schedule.position(), 0);
    if (work.none || work.sees_none()) continue;
    int entry = work.entry(work.end - 1);
    for (int tile = work.end - 1; tile >= work.begin(); --tile) {
      const int next = work.entry(tile - 1);
#pragma unroll
      for (int piece = 0; piece < Tile::kBiasPieces; ++piece, at.step()) {
        ring.begin_fill(at, Tile::kBiasBytes);
        tma_load_4d(rings.bias(warpgroup, at.stage), mods.bias_map(), ring.full(at.stage),
                    work.tile_of(entry) * Tile::kBlockN + piece * 64, work.first + 64 * warpgroup,
                    mods.map_head(work.head), mods.map_batch(work.batch));
      }
      entry = next;
    }
  }
}

// Of the scores of 64 keys from the kFirst-th of this thread on: scale * score + bias, from the
// panel at `shared`. ldmatrix gives what the accumulators of wgmma have: a pair of each 8 columns.
template <typename Element, int kFirst, int kScores>
__device__ __forceinline__ void add_biases(float (&scores)[kScores], float scale, unsigned shared) {
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane % 16;
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    unsigned packed[4];
    load_matrices(packed, shared + row * 128 + ((2 * step + lane / 16) ^ (row % 8)) * 16);
#pragma unroll
    for (int m = 0; m < 4; ++m) {
      float* pair = &scores[kFirst + 8 * step + 2 * m];
      float low, high;
      unpack<Element>(packed[m], low, high);
      pair[0] = fmaf(pair[0], scale, low);
      pair[1] = fmaf(pair[1], scale, high);
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_BIASES_CUH_
