#ifndef FMS_ATTENTION_SM90_WORK_CUH_
#define FMS_ATTENTION_SM90_WORK_CUH_

#include "attention/sm90_traits.cuh"

namespace fms {

// What all threads of a kernel know.
template <typename Tile>
struct AttentionShape {
  int heads, batch_heads, seq_q, seq_k;

  __device__ int tiles_q() const { return (seq_q + Tile::kBlockM - 1) / Tile::kBlockM; }
  // A cluster computes neighbouring tiles.
  __device__ int units() const { return (tiles_q() + Tile::kCluster - 1) / Tile::kCluster; }
  // Of the schedule. In pairs, the middle tile of an odd number has no partner.
  __device__ int positions() const {
    return (Tile::kPairs ? (units() + 1) / 2 * 2 : units()) * batch_heads;
  }
  // Keys that query `row` sees, unclamped.
  __device__ int visible(int row) const {
    if constexpr (Tile::kMasked && !Tile::kTopLeft) return row + 1 + seq_k - seq_q;
    if constexpr (Tile::kTopLeft) return row + 1;
    return seq_k;
  }
};

// A tile of queries.
template <typename Tile>
struct AttentionWork {
  int batch, head, first;  // first: query
  int tiles;               // of keys, to visit
  bool none = false;       // there is none: the partner of a middle tile

  __device__ AttentionWork(const AttentionShape<Tile>& shape, unsigned position, int rank) {
    // Unsigned: half the instructions of a division.
    const unsigned units = shape.units(), batch_heads = shape.batch_heads, heads = shape.heads;
    unsigned unit, batch_head;
    if constexpr (Tile::kPairs) {
      // A long and a short tile of a head in turn: pairs are alike, neighbours share their keys.
      const unsigned half = (units + 1) / 2;
      batch_head = position / 2 / half;
      unit = position / 2 - batch_head * half;
      none = position % 2 == 1 && unit == units - 1 - unit;
      if (position % 2 == 0) unit = units - 1 - unit;
    } else if constexpr (Tile::kMasked) {
      // Last tiles first, heads abreast: as many as the L2 cache holds the keys and values of.
      const unsigned abreast = Tile::kHeadsAbreast == 0 ? batch_heads : Tile::kHeadsAbreast;
      const unsigned band = position / (units * abreast) * abreast;
      const unsigned width = min(abreast, batch_heads - band);
      const unsigned rest = position - band * units;
      unit = units - 1 - rest / width;
      batch_head = band + rest % width;
    } else {
      batch_head = position / units;
      unit = position - batch_head * units;
    }
    batch = int(batch_head / heads);
    head = int(batch_head) - batch * shape.heads;
    first = (int(unit) * Tile::kCluster + rank) * Tile::kBlockM;
    const int last = min(first + Tile::kBlockM, shape.seq_q) - 1;
    const int end = min(shape.seq_k, shape.visible(last));
    tiles = (max(end, 0) + Tile::kBlockN - 1) / Tile::kBlockN;
  }
};

// The rings of tiles in shared memory.
template <typename Tile>
struct AttentionRings {
  unsigned smem;

  __device__ typename Tile::QueryPipeline queries() const {
    return {smem + Tile::kQueryBarriersAt};
  }
  __device__ typename Tile::KeyPipeline keys() const { return {smem + Tile::kKeyBarriersAt}; }
  __device__ typename Tile::KeyPipeline values() const { return {smem + Tile::kValueBarriersAt}; }
  __device__ unsigned scratch() const {  // of this consumer warp
    return smem + Tile::kScratchAt + 4 * (threadIdx.x / 32 - 4);
  }
  __device__ unsigned query(unsigned stage) const { return smem + stage * Tile::kQueryBytes; }
  __device__ unsigned key(unsigned stage) const {
    return smem + Tile::kKeysAt + stage * Tile::kKeyBytes;
  }
  __device__ unsigned value(unsigned stage) const {
    return smem + Tile::kValuesAt + stage * Tile::kValueBytes;
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_WORK_CUH_
