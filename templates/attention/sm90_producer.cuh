#ifndef FMS_ATTENTION_SM90_PRODUCER_CUH_
#define FMS_ATTENTION_SM90_PRODUCER_CUH_

#include "attention/sm90_schedule.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/tma.cuh"

namespace fms {

// Loads tile `tile` of keys or values, of kPanels panels; of a cluster each block its part, for
// all.
template <typename Tile, int kPanels>
__device__ inline void load_keys(const TensorMap& map, unsigned shared, unsigned barrier, int tile,
                                 const AttentionWork<Tile>& work, int rank) {
  constexpr int kRows = Tile::kBlockN / Tile::kCluster;
  const int row = int(work.sequence.k_row) + tile * Tile::kBlockN + rank * kRows;
  const int batch = Tile::kPacked ? 0 : work.batch;
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    const unsigned to = shared + panel * Tile::kKeyPanelBytes + rank * kRows * 128;
    if constexpr (Tile::kCluster == 1) {
      tma_load_4d(to, map, barrier, 64 * panel, row, work.head / Tile::kGroup, batch);
    } else {
      tma_multicast_4d(to, map, barrier, 64 * panel, row, work.head / Tile::kGroup, batch,
                       (1 << Tile::kCluster) - 1);
    }
  }
}

template <typename Tile>
__device__ inline void load_queries(const AttentionRings<Tile>& rings,
                                    const AttentionWork<Tile>& work,
                                    typename Tile::QueryPipeline::Position& at,
                                    const TensorMap& map) {
  rings.queries().begin_fill(at, Tile::kQueryBytes);
#pragma unroll
  for (int panel = 0; panel < Tile::kPanels; ++panel) {
    tma_load_4d(rings.query(at.stage) + panel * Tile::kQueryPanelBytes, map,
                rings.queries().full(at.stage), 64 * panel, int(work.sequence.q_row) + work.first,
                work.head, Tile::kPacked ? 0 : work.batch);
  }
  at.step();
}

// One thread: loads what the consumers will ask for, queries and keys or values, ahead of them.
template <typename Tile, bool kKeys>
__device__ inline void produce(const AttentionRings<Tile>& rings, const AttentionShape<Tile>& shape,
                               TileSchedule<Tile::kPairs> schedule, int rank,
                               const TensorMap& q_map, const TensorMap& map) {
  constexpr int kPanels = kKeys ? Tile::kPanels : Tile::kValuePanels;
  typename Tile::QueryPipeline::Position query_at;
  typename Tile::KeyPipeline::Position at;
  const auto ring = kKeys ? rings.keys() : rings.values();
  AttentionPlace<Tile> place;
  for (; place.find(shape, schedule.position()); schedule.step()) {
    const AttentionWork<Tile> work(shape, place, schedule.position(), rank);
    if (work.none || work.sees_none()) continue;
    if constexpr (kKeys) load_queries(rings, work, query_at, q_map);
    int entry = work.entry(work.end - 1);
    for (int tile = work.end - 1; tile >= work.begin(); --tile) {
      const int next = work.entry(tile - 1);  // of a table ahead of its use
      ring.begin_fill(at, kPanels * Tile::kKeyPanelBytes);
      load_keys<Tile, kPanels>(map, kKeys ? rings.key(at.stage) : rings.value(at.stage),
                               ring.full(at.stage), work.tile_of(entry), work, rank);
      at.step();
      entry = next;
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_PRODUCER_CUH_
