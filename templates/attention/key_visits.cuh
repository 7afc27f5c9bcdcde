#ifndef FMS_ATTENTION_KEY_VISITS_CUH_
#define FMS_ATTENTION_KEY_VISITS_CUH_

#include "attention/options.cuh"

namespace fms {

// The tiles of keys that a tile of queries visits, by a table.
struct TableVisits {
  const int* entry;
  const int* end;

  __device__ TableVisits(const AttentionBlockTable& table, int batch, int head, int query_tile) {
    const long long row = batch * table.batch_stride + head * table.head_stride + query_tile;
    entry = table.tiles + row * table.width;
    end = entry + table.counts[row];
  }
  __device__ bool done() const { return entry == end; }
  __device__ void step() { ++entry; }
  __device__ int tile() const { return *entry >> 1; }
  // Whether the mask function hides some key of the tile from some query.
  __device__ bool asks_mask() const { return (*entry & 1) != 0; }
};

// All tiles of keys from `first` to before `last`.
struct RangeVisits {
  int first, last;

  __device__ bool done() const { return first >= last; }
  __device__ void step() { ++first; }
  __device__ int tile() const { return first; }
  __device__ bool asks_mask() const { return true; }
};

}  // namespace fms

#endif  // FMS_ATTENTION_KEY_VISITS_CUH_
