#ifndef FMS_ATTENTION_SM80_RING_CUH_
#define FMS_ATTENTION_SM80_RING_CUH_

#include "attention/sm80_work.cuh"
#include "ptx/cp_async.cuh"

namespace fms {

// The tiles of keys and values on their way through kStages places in shared memory, of a pair
// each. With kOverlap a tile of values comes together with the keys of the next tile.
//
// With one stage keys and values wait for each other: the one is copied while the other is
// multiplied.
template <typename Tile>
struct Sm80Ring {
  const Sm80KeyTiles<Tile>& tiles;
  const char *keys, *values;     // key 0
  long long key_row, value_row;  // bytes from row to row
  int seq_k;
  unsigned shared;         // of stage 0
  unsigned stage = kLast;  // in bytes: of the tile that was taken last

  enum : unsigned { kLast = (Tile::kStages - 1) * Tile::kStageBytes };

  __device__ __forceinline__ void copy_keys(int visit, unsigned stage_at) const {
    if (visit < tiles.count) {
      copy<typename Tile::Keys, true>(keys, key_row, visit, stage_at);
    }
  }
  __device__ __forceinline__ void copy_values(int visit, unsigned stage_at) const {
    if (visit < tiles.count && (!Tile::kOverlap || visit >= 0)) {
      copy<typename Tile::Values, false>(values, value_row, visit, stage_at + Tile::kKeyBytes);
    }
  }
  // Starts the copies for a visit, but the values of a single stage.
  __device__ __forceinline__ void start(int visit, unsigned stage_at) const {
    copy_keys(visit, stage_at);
    if (Tile::kStages > 1) copy_values(visit - Tile::kOverlap, stage_at);
    commit_copies();
  }

  // The first copies, all that may be started before something is taken.
  __device__ __forceinline__ void begin() const {
#pragma unroll
    for (int visit = 0; visit == 0 || visit < Tile::kStages - 1; ++visit) {
      start(visit, visit * Tile::kStageBytes);
    }
  }
  // Waits for what a visit needs; of one stage, for its keys. What the visit before read makes way
  // for another tile.
  __device__ __forceinline__ void take(int visit) {
    wait_copies<Tile::kStages == 1 ? 0 : Tile::kStages - 2>();
    __syncthreads();
    if constexpr (Tile::kStages == 1) {
      copy_values(visit, 0);
      commit_copies();
    } else {
      start(visit + Tile::kStages - 1, stage);  // that of the visit before
      stage = stage == kLast ? 0 : stage + Tile::kStageBytes;
    }
  }
  // Waits for the values of a single stage.
  __device__ __forceinline__ void take_values(int visit) const {
    if constexpr (Tile::kStages == 1) {
      wait_copies<0>();
      __syncthreads();
      start(visit + 1, 0);
    }
  }

 private:
  template <typename Rows, bool kZeroTail>
  __device__ __forceinline__ void copy(const char* first, long long row, int visit,
                                       unsigned to) const {
    const int first_key = tiles.first_key(visit);
    // To keep a part of each address would take registers that there are none of. So the compiler
    // is not to know of the sum that it may be taken apart: it might be past 2^32.
    int thread = int(threadIdx.x);
    asm volatile("" : "+r"(thread));
    const char* const from = first + (unsigned(first_key) + unsigned(thread) / 8) * row;
    const auto source = [&](int pass) { return from + pass * (Tile::kThreads / 8 * row); };
    Rows::template copy<Tile::kBlockN, Tile::kThreads, kZeroTail>(shared + to, seq_k - first_key,
                                                                  thread, source);
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_RING_CUH_
