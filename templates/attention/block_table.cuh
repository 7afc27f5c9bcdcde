#ifndef FMS_ATTENTION_BLOCK_TABLE_CUH_
#define FMS_ATTENTION_BLOCK_TABLE_CUH_

// Makes the table of the tiles of keys that each tile of queries need visit, by asking Mods::mask
// of every pair: a tile of which no query sees a key is left out, and one of which all see all is
// marked as such, so that the mask need not be asked again.
//
// runtime/ops/block_table.cpp launches it for the tile of the kernel that is to use the table.

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/sequence.cuh"
#include "fms/parameter.cuh"

FMS_KERNEL(attention_block_table, "tiles of keys that tiles of queries see");
FMS_ENUM(Mask, kMask, kFull, "which keys a query sees",
         choices(kFull, kCausal, kCausalTopLeft, kWindow, kWindowTopLeft));
FMS_BOOL(kPacked, false, "sequences of several lengths lie one behind the other");
FMS_INT(kBlockM, 64, "queries of a tile", range(1, 256));
FMS_INT(kBlockN, 64, "keys of a tile", range(1, 256));
FMS_BOOL(kFromLast, false, "the last tile of keys is visited first");
FMS_INT(kThreads, 128, "threads of a block", range(32, 1024), divisible(32));

namespace fms {

// Keys that a query sees by kMask, from `begin` to before `end`; Mods may hide some of them.
struct SeenKeys {
  int begin, end;

  __device__ SeenKeys(const AttentionOptions& options, const AttentionSequence& sequence,
                      int query) {
    constexpr bool kWindow = kMask == Mask::kWindow || kMask == Mask::kWindowTopLeft;
    constexpr bool kTopLeft = kMask == Mask::kCausalTopLeft || kMask == Mask::kWindowTopLeft;
    begin = 0;
    end = sequence.seq_k;
    if constexpr (kMask != Mask::kFull) {
      const int diagonal = query + (kTopLeft ? 0 : sequence.seq_k - sequence.seq_q);
      end = min(end, diagonal + 1 + (kWindow ? options.window_right : 0));
      if (kWindow) begin = max(begin, diagonal - options.window_left);
    }
  }
};

// Whether, of the pairs of a tile that kMask allows, there are seen and hidden ones.
struct TileSight {
  bool seen = false, hidden = false;

  __device__ void look(const AttentionOptions& options, const AttentionSequence& sequence,
                       const Mods& mods, int batch, int head, int first_query, int first_key) {
    for (int i = int(threadIdx.x); i < kBlockM * kBlockN && !(seen && hidden); i += kThreads) {
      const int query = first_query + i / kBlockN, key = first_key + i % kBlockN;
      if (query >= sequence.seq_q) return;
      const SeenKeys keys(options, sequence, query);
      if (key < keys.begin || key >= keys.end) continue;
      (sees_key(mods, batch, head, query, key) ? seen : hidden) = true;
    }
  }
};

}  // namespace fms

// One block a row of the table: grid.x is tiles_q * heads * batches, of those that the table has;
// rows are (batch, head, tile of queries).
extern "C" __global__ void __launch_bounds__(kThreads)
    attention_block_table(int* __restrict__ counts, int* __restrict__ tiles, long long width,
                          const __grid_constant__ fms::AttentionOptions options, int heads,
                          int tiles_q, int seq_q, int seq_k, const __grid_constant__ Mods mods) {
  const int batch = int(blockIdx.x) / tiles_q / heads;
  const int head = int(blockIdx.x) / tiles_q % heads;
  const int first_query = int(blockIdx.x) % tiles_q * kBlockM;
  const fms::AttentionSequence sequence =
      fms::attention_sequence<kPacked>(options, batch, seq_q, seq_k);
  int* const row = tiles + blockIdx.x * width;
  // A sequence that is longer than the longest said has no room in the row.
  const int tiles_k = min(int(width), (sequence.seq_k + kBlockN - 1) / kBlockN);
  int count = 0;
  for (int i = 0; i < tiles_k; ++i) {
    const int tile = kFromLast ? tiles_k - 1 - i : i;
    fms::TileSight sight;
    sight.look(options, sequence, mods, batch, head, first_query, tile * kBlockN);
    const bool seen = __syncthreads_or(sight.seen) != 0;
    const bool hidden = __syncthreads_or(sight.hidden) != 0;
    if (!seen) continue;
    if (threadIdx.x == 0) row[count] = tile * 2 + (hidden ? 1 : 0);
    ++count;
  }
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

#endif  // FMS_ATTENTION_BLOCK_TABLE_CUH_
