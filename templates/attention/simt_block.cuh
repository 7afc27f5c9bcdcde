#ifndef FMS_ATTENTION_SIMT_BLOCK_CUH_
#define FMS_ATTENTION_SIMT_BLOCK_CUH_

#include "attention/key_visits.cuh"
#include "attention/sequence.cuh"

namespace fms {

// The tile of queries that a block of attention_forward_simt computes.
template <typename Tile>
struct SimtAttentionBlock {
  int batch, head, kv_head, batch_head;
  AttentionSequence sequence;
  int first;  // query
  // Keys that it sees, from `begin` to before `end`, unclamped; under a mask, row r of the tile
  // sees those r further on.
  int begin, end;

  __device__ SimtAttentionBlock(const AttentionOptions& options, int heads, int batch_heads,
                                int seq_q, int seq_k) {
    // Last tile first, all heads side by side: under a causal mask the last tiles see the most
    // keys, and the short ones then fill the tail of the launch.
    const unsigned tiles = gridDim.x / unsigned(batch_heads);
    const unsigned tile = tiles - 1 - blockIdx.x / unsigned(batch_heads);
    batch_head = int(blockIdx.x % unsigned(batch_heads));
    batch = batch_head / heads;
    head = batch_head % heads;
    kv_head = head / Tile::kGroup;
    first = int(tile) * Tile::kBlockM;
    sequence = attention_sequence<Tile::kPacked>(options, batch, seq_q, seq_k);
    begin = 0;
    end = sequence.seq_k;
    if constexpr (Tile::kMasked) {
      const int diagonal = first + (Tile::kTopLeft ? 0 : sequence.seq_k - sequence.seq_q);
      end = diagonal + 1 + (Tile::kWindow ? options.window_right : 0);
      if constexpr (Tile::kWindow) begin = diagonal - options.window_left;
    }
  }

  // The tiles of keys that some row of the tile sees part of.
  __device__ auto visits(const AttentionBlockTable& table) const {
    if constexpr (Tile::kBlockTable) {
      return TableVisits(table, batch, head, first / Tile::kBlockM);
    } else {
      const int last_row = min(Tile::kBlockM, sequence.seq_q - first) - 1;
      const int after = Tile::kMasked ? min(sequence.seq_k, end + last_row) : sequence.seq_k;
      return RangeVisits{Tile::kWindow ? max(begin, 0) / Tile::kBlockN : 0,
                         (after + Tile::kBlockN - 1) / Tile::kBlockN};
    }
  }

  // Whether some row of the tile doesn't see all of a tile of keys.
  __device__ bool is_partial(int first_key) const {
    if (!Tile::SeqK::divides_by(Tile::kBlockN) && sequence.seq_k - first_key < Tile::kBlockN) {
      return true;
    }
    if (Tile::kWindow && begin + Tile::kBlockM - 1 > first_key) return true;
    return Tile::kMasked && end - first_key < Tile::kBlockN;
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SIMT_BLOCK_CUH_
