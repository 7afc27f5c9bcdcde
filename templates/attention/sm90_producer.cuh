#ifndef FMS_ATTENTION_SM90_PRODUCER_CUH_
#define FMS_ATTENTION_SM90_PRODUCER_CUH_

#include "attention/sm90_schedule.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/tma.cuh"

namespace fms {

// Loads tile `tile` of keys or values; of a cluster each block its part, for all.
template <typename Tile>
__device__ inline void load_keys(const TensorMap& map, unsigned shared, unsigned barrier, int tile,
                                 const AttentionWork<Tile>& work, int rank) {
  constexpr int kRows = Tile::kBlockN / Tile::kCluster;
  const int row = tile * Tile::kBlockN + rank * kRows;
#pragma unroll
  for (int panel = 0; panel < Tile::kPanels; ++panel) {
    const unsigned to = shared + panel * Tile::kKeyPanelBytes + rank * kRows * 128;
    if constexpr (Tile::kCluster == 1) {
      tma_load_4d(to, map, barrier, 64 * panel, row, work.head / Tile::kGroup, work.batch);
    } else {
      tma_multicast_4d(to, map, barrier, 64 * panel, row, work.head / Tile::kGroup, work.batch,
                       (1 << Tile::kCluster) - 1);
    }
  }
}

// One thread: loads what the consumers will ask for, queries and keys or values, ahead of them.
template <typename Tile, bool kKeys>
__device__ inline void produce(const AttentionRings<Tile>& rings, const AttentionShape<Tile>& shape,
                               TileSchedule<Tile::kPairs> schedule, int rank,
                               const TensorMap& q_map, const TensorMap& map) {
  typename Tile::QueryPipeline::Position query_at;
  typename Tile::KeyPipeline::Position at;
  const auto ring = kKeys ? rings.keys() : rings.values();
  for (; schedule.position() < shape.positions(); schedule.step()) {
    const AttentionWork<Tile> work(shape, schedule.position(), rank);
    if (work.none || work.tiles == 0) continue;
    if constexpr (kKeys) {
      rings.queries().begin_fill(query_at, Tile::kQueryBytes);
#pragma unroll
      for (int panel = 0; panel < Tile::kPanels; ++panel) {
        tma_load_4d(rings.query(query_at.stage) + panel * Tile::kQueryPanelBytes, q_map,
                    rings.queries().full(query_at.stage), 64 * panel, work.first, work.head,
                    work.batch);
      }
      query_at.step();
    }
    for (int tile = work.tiles - 1; tile >= 0; --tile) {
      ring.begin_fill(at, Tile::kKeyBytes);
      load_keys<Tile>(map, kKeys ? rings.key(at.stage) : rings.value(at.stage), ring.full(at.stage),
                      tile, work, rank);
      at.step();
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_PRODUCER_CUH_
