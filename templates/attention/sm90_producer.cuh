#ifndef FMS_ATTENTION_SM90_PRODUCER_CUH_
#define FMS_ATTENTION_SM90_PRODUCER_CUH_

#include "attention/sm90_maps.cuh"
#include "attention/sm90_schedule.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/tma.cuh"
#include "tile/quad_store.cuh"

namespace fms {

// By all threads of the block, before anything is copied: zeros the 8 columns of queries and keys
// that products go over and no box has.
template <typename Tile>
__device__ inline void clear_last_columns(const AttentionRings<Tile>& rings) {
  constexpr int kUnit = Tile::kHeadDim / 8;  // of 16 bytes
  if constexpr (kUnit % 2 == 1) {
    const auto clear = [](unsigned panel, int row) {
      store_shared_zeros(panel + row * 128 + (kUnit % 8 ^ row % 8) * 16);
    };
    for (int i = int(threadIdx.x); i < Tile::kStages * Tile::kBlockN; i += Tile::kThreads) {
      clear(rings.key(i / Tile::kBlockN) + kUnit / 8 * Tile::kKeyPanelBytes, i % Tile::kBlockN);
    }
    for (int i = int(threadIdx.x); i < Tile::kQueryStages * Tile::kBlockM; i += Tile::kThreads) {
      clear(rings.query(i / Tile::kBlockM) + kUnit / 8 * Tile::kQueryPanelBytes, i % Tile::kBlockM);
    }
    fence_async_proxy();
  }
}

// Loads tile `tile` of keys or values, of kPanels panels; of a cluster each block its part, for
// all.
template <typename Tile, int kPanels, typename Maps>
__device__ inline void load_keys(const Maps& maps, unsigned shared, unsigned barrier, int tile,
                                 const AttentionWork<Tile>& work, int rank) {
  constexpr int kRows = Tile::kBlockN / Tile::kCluster;
  const int row = int(work.sequence.k_row) + tile * Tile::kBlockN + rank * kRows;
  const int batch = Tile::kPacked ? 0 : work.batch;
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    const unsigned to = shared + panel * Tile::kKeyPanelBytes + rank * kRows * 128;
    if constexpr (Tile::kCluster == 1) {
      tma_load_4d(to, map_of(maps, panel == kPanels - 1), barrier, 64 * panel, row,
                  work.head / Tile::kGroup, batch);
    } else {
      tma_multicast_4d(to, map_of(maps, panel == kPanels - 1), barrier, 64 * panel, row,
                       work.head / Tile::kGroup, batch, (1 << Tile::kCluster) - 1);
    }
  }
}

template <typename Tile, typename Maps>
__device__ inline void load_queries(const AttentionRings<Tile>& rings,
                                    const AttentionWork<Tile>& work,
                                    typename Tile::QueryPipeline::Position& at, const Maps& maps) {
  rings.queries().begin_fill(at, Tile::kBlockM * 2 * Tile::kHeadDim);
#pragma unroll
  for (int panel = 0; panel < Tile::kPanels; ++panel) {
    tma_load_4d(rings.query(at.stage) + panel * Tile::kQueryPanelBytes,
                map_of(maps, panel == Tile::kPanels - 1), rings.queries().full(at.stage),
                64 * panel, int(work.sequence.q_row) + work.first, work.head,
                Tile::kPacked ? 0 : work.batch);
  }
  at.step();
}

// One thread: loads what the consumers will ask for, queries and keys or values, ahead of them.
template <typename Tile, bool kKeys, typename QueryMaps, typename Maps>
__device__ inline void produce(const AttentionRings<Tile>& rings, const AttentionShape<Tile>& shape,
                               TileSchedule<Tile::kPairs> schedule, int rank,
                               const QueryMaps& q_maps, const Maps& maps) {
  constexpr int kPanels = kKeys ? Tile::kPanels : Tile::kValuePanels;
  constexpr int kBytes = Tile::kBlockN * 2 * (kKeys ? Tile::kHeadDim : Tile::kValueDim);
  typename Tile::QueryPipeline::Position query_at;
  typename Tile::KeyPipeline::Position at;
  const auto ring = kKeys ? rings.keys() : rings.values();
  AttentionPlace<Tile> place;
  for (; place.find(shape, schedule.position()); schedule.step()) {
    const AttentionWork<Tile> work(shape, place, schedule.position(), rank);
    if (work.none || work.sees_none()) continue;
    if constexpr (kKeys) load_queries(rings, work, query_at, q_maps);
    int entry = work.entry(work.end - 1);
    for (int tile = work.end - 1; tile >= work.begin(); --tile) {
      const int next = work.entry(tile - 1);  // of a table ahead of its use
      ring.begin_fill(at, kBytes);
      load_keys<Tile, kPanels>(maps, kKeys ? rings.key(at.stage) : rings.value(at.stage),
                               ring.full(at.stage), work.tile_of(entry), work, rank);
      at.step();
      entry = next;
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_PRODUCER_CUH_
