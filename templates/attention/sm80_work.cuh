#ifndef FMS_ATTENTION_SM80_WORK_CUH_
#define FMS_ATTENTION_SM80_WORK_CUH_

#include "attention/options.cuh"
#include "attention/sequence.cuh"
#include "attention/sm80_traits.cuh"
#include "ptx/cluster.cuh"

namespace fms {

// The tile of rows that a block computes. A row is a query of a head or, with kPackGroup, of each
// head of a group in turn: few queries then fill a tile, and read their keys once.
template <typename Tile>
struct Sm80Work {
  int batch, head, kv_head;  // head: of row 0
  AttentionSequence sequence;
  int first;  // row
  // A query sees keys from diagonal + query - left to before diagonal + query + right, unclamped.
  int diagonal, left, right;

  __device__ Sm80Work(const AttentionOptions& options, int seq_q, int seq_k) {
    // Not counted in one dimension of the grid and divided: what comes from blockIdx and constants
    // is kept in uniform registers, of which there are enough. Tiles of a head lie side by side:
    // their blocks share its keys in the L2 cache. Under a mask the last ones see the most keys and
    // go first.
    batch = int(blockIdx.z);
    head = int(blockIdx.y) * (Tile::kPackGroup ? Tile::kGroup : 1);
    kv_head = int(unsigned(head) / Tile::kGroup);
    unsigned blocks = 1;  // of a tile
    if constexpr (Tile::kSplitKeys) blocks = cluster_size();
    const unsigned tile = blockIdx.x / blocks, tiles = gridDim.x / blocks;
    first = int(Tile::kMasked ? tiles - 1 - tile : tile) * Tile::kBlockM;
    sequence = attention_sequence<Tile::kPacked>(options, batch, seq_q, seq_k);
    diagonal = Tile::kTopLeft ? 0 : sequence.seq_k - sequence.seq_q;
    left = Tile::kWindow ? options.window_left : 0;
    right = Tile::kWindow ? options.window_right + 1 : 1;
  }

  __device__ int rows() const {
    return Tile::kPackGroup ? sequence.seq_q * Tile::kGroup : sequence.seq_q;
  }
  __device__ int query(int row) const {
    return Tile::kPackGroup ? int(unsigned(row) / Tile::kGroup) : row;
  }
  __device__ int head_of(int row) const {  // counted from that of row 0
    return Tile::kPackGroup ? int(unsigned(row) % Tile::kGroup) : 0;
  }
  __device__ int begin(int query) const { return Tile::kWindow ? diagonal + query - left : 0; }
  __device__ int end(int query) const {
    return Tile::kMasked ? min(sequence.seq_k, diagonal + query + right) : sequence.seq_k;
  }
};

// The tiles of keys that a block visits, from the last to the first: masks come first, and most
// tiles need none. A table may leave some out.
template <typename Tile>
struct Sm80KeyTiles {
  int last, count;
  int whole_begin, whole_end;  // keys between these are seen by all rows of this warp
  const int* entries;          // of the table

  __device__ Sm80KeyTiles(const Sm80Work<Tile>& work, const AttentionBlockTable& table,
                          int warp_row) {
    const int last_row = min(work.first + Tile::kBlockM, work.rows()) - 1;
    const int end = work.end(work.query(last_row));
    const int begin = max(0, work.begin(work.query(work.first)));
    last = (end + Tile::kBlockN - 1) / Tile::kBlockN - 1;
    count = end > begin ? last + 1 - begin / Tile::kBlockN : 0;
    whole_begin = work.begin(work.query(warp_row + Tile::kWarpRows - 1));
    whole_end = work.end(work.query(warp_row));
    if constexpr (Tile::kBlockTable) {
      const long long row = work.batch * table.batch_stride + work.head * table.head_stride +
                            work.first / Tile::kBlockM;
      entries = table.tiles + row * table.width;
      count = table.counts[row];
    }
    if constexpr (Tile::kSplitKeys) {  // this block's share of them
      const int all = count, rank = int(cluster_rank()), blocks = int(cluster_size());
      const int skipped = static_cast<int>(static_cast<long long>(all) * rank / blocks);
      count = static_cast<int>(static_cast<long long>(all) * (rank + 1) / blocks) - skipped;
      last -= skipped;
      if (Tile::kBlockTable) entries += skipped;
    }
  }

  __device__ int first_key(int visit) const {
    return (Tile::kBlockTable ? __ldg(entries + visit) >> 1 : last - visit) * Tile::kBlockN;
  }
  // Whether the mask function may hide some key of the tile from some row.
  __device__ bool asks_mask(int visit) const {
    return !Tile::kBlockTable || (__ldg(entries + visit) & 1) != 0;
  }
  // Whether the kernel's own mask may, or the sequence's end.
  __device__ bool is_partial(int first_key) const {
    if constexpr (!Tile::kMasked && Tile::SeqK::divides_by(Tile::kBlockN)) return false;
    if (Tile::kWindow && first_key < whole_begin) return true;
    return first_key + Tile::kBlockN > whole_end;
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_WORK_CUH_
