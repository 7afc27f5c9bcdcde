#ifndef FMS_ATTENTION_FORWARD_SM80_CUH_
#define FMS_ATTENTION_FORWARD_SM80_CUH_

// Attention, forward, on the tensor cores of sm_80 and later: o = softmax(scale * q k^T, masked) v
// by mma.sync, with tiles of keys and values that cp.async copies ahead of their use.
//
// runtime/ops/attention_sm80.cpp chooses the tile and launches. Weights are relative to a maximum
// that may lag: a tile of keys in which some weight turns out 2 or more is weighed anew
// (tile/online_softmax.cuh). The order of all sums is the tile's, so the same tile gives the same
// bits whether sizes are constants or arguments.

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/sm80_join.cuh"
#include "attention/sm80_ring.cuh"
#include "attention/sm80_rows.cuh"
#include "attention/sm80_scores.cuh"
#include "attention/sm80_store.cuh"
#include "attention/sm80_traits.cuh"
#include "attention/sm80_work.cuh"
#include "attention/strides.cuh"
#include "fms/parameter.cuh"
#include "ptx/shared_address.cuh"

FMS_KERNEL(attention_forward_sm80, "o = softmax(scale * q k^T) v, by mma.sync");
FMS_TYPE(T, bfloat16, "element type of q, k, v and o", choices(float16, bfloat16));
FMS_INT(kHeadDim, 64, "columns of q and k", range(8, 256), divisible(8));
FMS_INT(kValueDim, 64, "columns of v and o", range(8, 256), divisible(8));
FMS_ENUM(Mask, kMask, kFull, "which keys a query sees",
         choices(kFull, kCausal, kCausalTopLeft, kWindow, kWindowTopLeft));
FMS_BOOL(kSoftcap, false, "scores are capped");
FMS_BOOL(kSinks, false, "each head has a sink");
FMS_BOOL(kPacked, false, "sequences of their own lengths follow one another");
FMS_BOOL(kReturnLse, false, "also writes the log-sum-exp of each row");
FMS_INT(kGroup, 1, "query heads that share a key head", range(1, 65536));
FMS_SIZE(kSeqQ, "queries of a head", range(0, 1073741824));
FMS_SIZE(kSeqK, "keys of a head", range(0, 1073741824));
FMS_INT(kRowWarps, 4, "warps with rows of their own", range(1, 16));
FMS_INT(kKeyWarps, 1, "warps that share rows, and have the keys of a tile among them", range(1, 8));
FMS_INT(kRowTiles, 2, "of 16 rows, of a warp", range(1, 2));
FMS_INT(kBlockN, 64, "keys of a tile", range(16, 256), divisible(16));
FMS_INT(kStages, 2, "tiles of keys, and of values, in shared memory", range(1, 8));
FMS_BOOL(kQueryRegisters, false, "queries stay in registers");
FMS_BOOL(kOverlap, false, "a tile is weighed while the one before is multiplied by its values");
FMS_BOOL(kPackGroup, false, "rows are the queries of all heads that share keys");
FMS_BOOL(kSplitKeys, false, "blocks of a cluster share rows, and have the keys among them");
FMS_BOOL(kBlockTable, false, "a table says which tiles of keys are visited");
FMS_INT(kMaxLag, 8, "log2 by which a row's maximum may lag", range(1, 16));

namespace fms {

// All that the parts of the kernel are made by.
struct AttentionTile : Sm80AttentionTraits<::kHeadDim, ::kValueDim, ::kRowWarps, ::kKeyWarps,
                                           ::kRowTiles, ::kBlockN, ::kStages, ::kQueryRegisters> {
  using Element = T;
  using SeqK = decltype(::kSeqK);
  enum : bool {
    kMasked = kMask != Mask::kFull,
    kWindow = kMask == Mask::kWindow || kMask == Mask::kWindowTopLeft,
    kTopLeft = kMask == Mask::kCausalTopLeft || kMask == Mask::kWindowTopLeft,
    kSoftcap = ::kSoftcap,
    kSinks = ::kSinks,
    kPacked = ::kPacked,
    kReturnLse = ::kReturnLse
  };
  enum : int { kGroup = ::kGroup };
  enum : bool {
    kPackGroup = ::kPackGroup,
    kWholeRows = !kPackGroup && kSeqQ.divides_by(kBlockM),
    kOverlap = ::kOverlap,
    kSplitKeys = ::kSplitKeys,
    kBlockTable = ::kBlockTable
  };
  enum : int {
    kMaxLag = ::kMaxLag,
    // Told nothing, ptxas may spill a few bytes to have a kernel in 64, 128 or 168 registers, so
    // that more blocks fit. Told something, it may spill where it needs nearly all 255.
    kMinBlocks = kJoins                             ? 1
                 : kRowTiles == 2 && kValueDim > 96 ? 0
                                                    : 2
  };
  static_assert(!kOverlap || kStages > 1, "values of one tile are there with keys of the next");
  static_assert(!kSplitKeys || kJoins, "blocks are joined as warps are");
  static_assert(!kBlockTable || !kPackGroup, "a row of the table is for queries of one head");
  static_assert(!kPacked || (!kSeqQ.kIsExact && !kSeqK.kIsExact),
                "packed sequences have lengths of their own");
};

}  // namespace fms

// One block a tile of rows, or a cluster with kSplitKeys: the grid is of their number, that of
// heads (kPackGroup: of k) and the batch. scale_log2 is scale * log2(e) and, unless scores are
// capped or changed, above 0. Rows of all arrays start at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(fms::AttentionTile::kThreads,
                                             fms::AttentionTile::kMinBlocks)
    attention_forward_sm80(const T* __restrict__ q, const T* __restrict__ k,
                           const T* __restrict__ v, T* __restrict__ o, float* __restrict__ lse,
                           const __grid_constant__ fms::AttentionLayout layout,
                           const __grid_constant__ fms::AttentionOptions options, int heads,
                           int batch_heads, int seq_q_argument, int seq_k_argument,
                           float scale_log2, const __grid_constant__ Mods mods) {
  using Tile = fms::AttentionTile;
  extern __shared__ __align__(16) unsigned char smem[];
  const fms::Sm80Work<Tile> work(options, kSeqQ(seq_q_argument), kSeqK(seq_k_argument));
  if (kPacked && work.first >= work.rows()) return;  // shorter than the longest

  // The same in the whole warp, and the compiler is to know it.
  const int warp = __shfl_sync(0xffffffffu, int(threadIdx.x) / 32, 0);
  const int row_warp = warp % kRowWarps, key_warp = warp / kRowWarps;
  const int warp_row = work.first + row_warp * Tile::kWarpRows;
  const int row = warp_row + int(threadIdx.x) % 32 / 4;
  const fms::Sm80KeyTiles<Tile> tiles(work, options.table, warp_row);
  const int batch = kPacked ? 0 : work.batch;  // one array holds all packed sequences
  const T* const q_rows =
      q + batch * layout.q.batch + work.head * layout.q.head + work.sequence.q_row * layout.q.row;
  const T* const k_rows = k + batch * layout.k.batch + work.kv_head * layout.k.head +
                          work.sequence.k_row * layout.k.row;
  const T* const v_rows = v + batch * layout.v.batch + work.kv_head * layout.v.head +
                          work.sequence.k_row * layout.v.row;

  const unsigned shared = fms::shared_address(smem);
  const int thread_row = int(threadIdx.x) / 8;
  Tile::Keys::template copy<Tile::kBlockM, Tile::kThreads, true>(
      shared, work.rows() - work.first, int(threadIdx.x), [&](int pass) {
        const int at = work.first + thread_row + pass * (Tile::kThreads / 8);
        return q_rows + (work.query(at) * layout.q.row + work.head_of(at) * layout.q.head);
      });
  if constexpr (kQueryRegisters) fms::commit_copies();
  fms::Sm80Ring<Tile> ring{tiles,
                           reinterpret_cast<const char*>(k_rows),
                           reinterpret_cast<const char*>(v_rows),
                           layout.k.row * int(sizeof(T)),
                           layout.v.row * int(sizeof(T)),
                           work.sequence.seq_k,
                           shared + Tile::kStagesAt};
  ring.begin();

  const fms::Sm80ScoreSteps<Tile> steps{work, options, mods};
  const unsigned stages = shared + Tile::kStagesAt;
  fms::Sm80Rows<Tile> rows{tiles,
                           steps,
                           steps.kChanges ? 1.0f : scale_log2,
                           shared + row_warp * Tile::kWarpRows * Tile::Keys::kPitch +
                               fms::lane_at_row<typename Tile::Keys>(),
                           stages + key_warp * Tile::kWarpKeys * Tile::Keys::kPitch +
                               fms::lane_at_column<typename Tile::Keys>(),
                           stages + Tile::kKeyBytes +
                               key_warp * Tile::kWarpKeys * Tile::Values::kPitch +
                               fms::lane_at_row<typename Tile::Values>(),
                           row,
                           key_warp * Tile::kWarpKeys + int(threadIdx.x) % 4 * 2};
  rows.clear();
  if constexpr (kQueryRegisters) {
    fms::wait_copies<kStages == 1 ? 1 : kStages - 1>();
    __syncthreads();
    rows.keep_queries();
  }
  if constexpr (kOverlap) {
    rows.compute_overlapped(ring);
  } else {
    rows.compute(ring);
  }

  T* const o_rows =
      o + batch * layout.o.batch + work.head * layout.o.head + work.sequence.q_row * layout.o.row;
  float* const lse_rows =
      lse + work.sequence.lse_row<kPacked>(options, work.batch * heads + work.head, work.head);
  const long long lse_head_stride = kPacked ? options.total_q : work.sequence.seq_q;
  if constexpr (!Tile::kJoins) {
#pragma unroll
    for (int tile = 0; tile < kRowTiles; ++tile) {
      fms::store_columns<Tile, kValueDim>(rows.fragments.output[tile], 0, rows.rows[tile], work,
                                          options.sinks, row + 16 * tile, o_rows, layout.o,
                                          lse_rows, lse_head_stride);
    }
  } else {
    using Join = fms::Sm80Join<Tile>;
    constexpr int kStep = Join::kColumns * kKeyWarps;
    Join join{shared};
    fms::wait_copies<0>();
    __syncthreads();  // the tiles' memory is no longer in use
    join.give(key_warp, rows.rows[0], rows.fragments.output[0]);
    __syncthreads();
    const int first_column = key_warp * Join::kColumns;
    for (int column = first_column; column < kValueDim; column += kStep) {
      join.join_warps(column);
      if constexpr (kSplitKeys) {
        join.give_joined(column);
      } else {
        fms::store_columns<Tile, Join::kColumns>(join.output, column, join.rows, work,
                                                 options.sinks, row, o_rows, layout.o, lse_rows,
                                                 lse_head_stride);
      }
    }
    if constexpr (kSplitKeys) {
      fms::cluster_sync();
      for (int column = first_column; column < kValueDim && fms::cluster_rank() == 0;
           column += kStep) {
        join.join_blocks(column);
        fms::store_columns<Tile, Join::kColumns>(join.output, column, join.rows, work,
                                                 options.sinks, row, o_rows, layout.o, lse_rows,
                                                 lse_head_stride);
      }
      fms::cluster_sync();  // no block leaves while its memory is read
    }
  }
}

#endif  // FMS_ATTENTION_FORWARD_SM80_CUH_
