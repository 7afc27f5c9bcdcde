#ifndef FMS_ATTENTION_SM90_WORK_CUH_
#define FMS_ATTENTION_SM90_WORK_CUH_

#include "attention/options.cuh"
#include "attention/sequence.cuh"
#include "attention/sm90_traits.cuh"

namespace fms {

// What all threads of a kernel know.
template <typename Tile>
struct AttentionShape {
  const AttentionOptions& options;
  int heads, batch_heads, seq_q, seq_k;  // of packed sequences the longest ones
  // With kSharesBiases: how many batches, or else heads, have the same biases.
  int sharers = 1;
  bool batches_share = false;

  __device__ int tiles_q() const { return (seq_q + Tile::kBlockM - 1) / Tile::kBlockM; }
  // A cluster computes neighbouring tiles.
  __device__ int units() const { return (tiles_q() + Tile::kCluster - 1) / Tile::kCluster; }
  // Of the schedule. In pairs, the middle tile of an odd number has no partner.
  __device__ int positions() const {
    return (Tile::kPairs ? (units() + 1) / 2 * 2 : units()) * batch_heads;
  }
};

// Where in the row of positions somebody is: in which sequence, if they are packed. Each of those
// has the positions that its own length takes, so that none is empty.
template <typename Tile>
struct AttentionPlace {
  int batch = 0;
  int before = 0;  // positions of the sequences before it

  // Goes to the sequence of a position, which is not before the last one's. False past the end.
  __device__ bool find(const AttentionShape<Tile>& shape, int position) {
    if constexpr (!Tile::kPacked) {
      return position < shape.positions();
    } else {
      const int batches = shape.batch_heads / shape.heads;
      for (; batch < batches; ++batch) {
        const int positions = of_this(shape).positions();
        if (position < before + positions) return true;
        before += positions;
      }
      return false;
    }
  }
  // The shape as if there were this sequence alone.
  __device__ AttentionShape<Tile> of_this(const AttentionShape<Tile>& shape) const {
    const AttentionSequence lengths =
        attention_sequence<Tile::kPacked>(shape.options, batch, shape.seq_q, shape.seq_k);
    return {shape.options, shape.heads, shape.heads, lengths.seq_q, lengths.seq_k};
  }
};

// A tile of queries.
template <typename Tile>
struct AttentionWork {
  int batch, head, first;  // first: query
  AttentionSequence sequence;
  int end;                    // of the tiles of keys to visit, or, with a table, their number
  int begin_ = 0;             // the first of them, in a window
  const int* table_;          // its list
  bool none = false;          // there is none: the partner of a middle tile
  int whole_ = 0, turn_ = 0;  // from the diagonal: whole tiles of keys, and how far it is from last

  __device__ AttentionWork(const AttentionShape<Tile>& shape, const AttentionPlace<Tile>& place,
                           unsigned position, int rank) {
    if constexpr (Tile::kPacked) {
      position -= place.before;
      const AttentionShape<Tile> own = place.of_this(shape);
      choose(own, position);
      batch = place.batch;
    } else {
      const unsigned batch_head = choose(shape, position);
      // Unsigned: half the instructions of a division.
      batch = int(batch_head / unsigned(shape.heads));
      head = int(batch_head) - batch * shape.heads;
    }
    sequence = attention_sequence<Tile::kPacked>(shape.options, batch, shape.seq_q, shape.seq_k);
    first = (first * Tile::kCluster + rank) * Tile::kBlockM;
    if constexpr (Tile::kBlockTable) {
      const AttentionBlockTable& table = shape.options.table;
      const long long row =
          batch * table.batch_stride + head * table.head_stride + first / Tile::kBlockM;
      end = table.counts[row];
      table_ = table.tiles + row * table.width;
    } else {
      const int last = min(first + Tile::kBlockM, sequence.seq_q) - 1;
      const int keys = min(sequence.seq_k, visible(shape, last));
      end = (max(keys, 0) + Tile::kBlockN - 1) / Tile::kBlockN;
      if constexpr (Tile::kFromDiagonal) {
        whole_ = sequence.seq_k / Tile::kBlockN;
        const int middle = diagonal(first + Tile::kBlockM / 2) / Tile::kBlockN;
        turn_ = whole_ - 1 - min(max(middle, 0), whole_ - 1);
      }
      if constexpr (Tile::kWindow) begin_ = min(max(unseen(shape, first), 0) / Tile::kBlockN, end);
    }
  }

  __device__ int begin() const { return Tile::kWindow && !Tile::kBlockTable ? begin_ : 0; }
  __device__ bool sees_none() const { return end == begin(); }

  // Where the `at`-th tile of keys is, counted down from `end`: its number, and whether the mask
  // function must be asked. With a table, as two halves of one word.
  __device__ int entry(int at) const {
    if constexpr (Tile::kBlockTable) return at < 0 ? 0 : table_[end - 1 - at];
    if constexpr (Tile::kFromDiagonal) {
      // Scores fall off on both sides: maxima seldom grow after the first tile. Down from the
      // diagonal, then down to it from the end; a tile that isn't whole comes first in any case.
      if (at >= whole_) return at;
      return at < turn_ ? at - turn_ + whole_ : at - turn_;
    }
    return at;
  }
  static __device__ int tile_of(int entry) { return Tile::kBlockTable ? entry >> 1 : entry; }
  static __device__ bool is_partial(int entry) { return !Tile::kBlockTable || (entry & 1) != 0; }

  // Keys that query `row` sees, and of those the ones at the beginning that it doesn't: unclamped.
  __device__ int visible(const AttentionShape<Tile>& shape, int row) const {
    if constexpr (Tile::kWindow) {
      return diagonal(row) + 1 + shape.options.window_right;
    } else if constexpr (Tile::kMasked) {
      return diagonal(row) + 1;
    }
    return sequence.seq_k;
  }
  __device__ int unseen(const AttentionShape<Tile>& shape, int row) const {
    return diagonal(row) - shape.options.window_left;
  }

 private:
  // The key that is at the place of query `row`.
  __device__ int diagonal(int row) const {
    if constexpr (Tile::kTopLeft) return row;
    return row + sequence.seq_k - sequence.seq_q;
  }

  // Of rows of `length` positions, one for each batch and head: the row of a position, which then
  // counts within that. Rows with the same biases go abreast, so that these come from memory once.
  static __device__ unsigned take_row(const AttentionShape<Tile>& shape, unsigned length,
                                      unsigned& position) {
    if constexpr (Tile::kSharesBiases) {
      const unsigned sharers = shape.sharers;
      const unsigned group = position / (length * sharers);
      const unsigned rest = position - group * (length * sharers);
      position = rest / sharers;
      const unsigned member = rest - position * sharers;
      return shape.batches_share ? member * shape.heads + group : group * sharers + member;
    }
    const unsigned row = position / length;
    position -= row * length;
    return row;
  }

  // Leaves the number of the tile, in units of a cluster, in `first`.
  __device__ unsigned choose(const AttentionShape<Tile>& shape, unsigned position) {
    const unsigned units = shape.units(), batch_heads = shape.batch_heads;
    unsigned unit, batch_head;
    if constexpr (Tile::kPairs) {
      // A long and a short tile of a head in turn: pairs are alike, neighbours share their keys.
      unit = position / 2;
      batch_head = take_row(shape, (units + 1) / 2, unit);
      none = position % 2 == 1 && unit == units - 1 - unit;
      if (position % 2 == 0) unit = units - 1 - unit;
    } else if constexpr (Tile::kUneven) {
      // Last tiles first, heads abreast: as many as the L2 cache holds the keys and values of.
      const unsigned abreast = Tile::kHeadsAbreast == 0 ? batch_heads : Tile::kHeadsAbreast;
      const unsigned band = position / (units * abreast) * abreast;
      const unsigned width = min(abreast, batch_heads - band);
      const unsigned rest = position - band * units;
      unit = units - 1 - rest / width;
      batch_head = band + rest % width;
    } else {
      unit = position;
      batch_head = take_row(shape, units, unit);
    }
    first = int(unit);
    head = int(batch_head);
    return batch_head;
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
  __device__ typename Tile::BiasPipeline biases(int warpgroup) const {
    return {smem + Tile::kBiasBarriersAt + warpgroup * Tile::kBiasBarrierBytes};
  }
  __device__ unsigned bias(int warpgroup, unsigned stage) const {
    return smem + Tile::kBiasesAt + (warpgroup * Tile::kBiasStages + stage) * Tile::kBiasBytes;
  }
  __device__ unsigned columns() const { return smem + Tile::kColumnsAt; }
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
