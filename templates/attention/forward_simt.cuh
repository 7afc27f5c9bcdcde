#ifndef FMS_ATTENTION_FORWARD_SIMT_CUH_
#define FMS_ATTENTION_FORWARD_SIMT_CUH_

// Attention, forward, for any architecture: o = softmax(scale * q k^T, masked) v by fp32
// multiply-adds, tile by tile with online softmax, so that no score reaches memory. It has all
// options: whatever the other kernels leave is for this one.
//
// runtime/ops/attention.cpp chooses the tile and launches; the order of all sums is the tile's, so
// the same tile gives the same bits whether sizes are constants or arguments.

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/simt_block.cuh"
#include "attention/simt_scores.cuh"
#include "attention/simt_store.cuh"
#include "attention/simt_tile.cuh"
#include "attention/simt_traits.cuh"
#include "attention/strides.cuh"
#include "fms/parameter.cuh"
#include "tile/element.cuh"
#include "tile/load_tile.cuh"

FMS_KERNEL(attention_forward_simt, "o = softmax(scale * q k^T) v, by fp32 multiply-adds");
FMS_TYPE(T, bfloat16, "element type of q, k, v and o", choices(float32, float16, bfloat16));
FMS_INT(kHeadDim, 64, "columns of q and k", range(1, 256));
FMS_INT(kValueDim, 64, "columns of v and o", range(1, 256));
FMS_ENUM(Mask, kMask, kFull, "which keys a query sees",
         choices(kFull, kCausal, kCausalTopLeft, kWindow, kWindowTopLeft));
FMS_BOOL(kSoftcap, false, "scores are softcap * tanh(score / softcap)");
FMS_BOOL(kSinks, false, "each head has a logit that takes part in the sum of weights");
FMS_BOOL(kPacked, false, "sequences of several lengths lie one behind the other");
FMS_BOOL(kReturnLse, false, "also writes the log-sum-exp of each row");
FMS_INT(kGroup, 1, "query heads that share a key head", range(1, 65536));
FMS_SIZE(kSeqQ, "queries of a head", range(0, 1073741824));
FMS_SIZE(kSeqK, "keys of a head", range(0, 1073741824));
FMS_INT(kBlockM, 64, "queries of a tile", range(1, 256));
FMS_INT(kBlockN, 64, "keys of a tile", range(4, 256), divisible(4));
FMS_INT(kThreads, 128, "threads of a block", range(32, 512), divisible(32));
FMS_INT(kLanes, 16, "threads that share a query row", choices(1, 2, 4, 8, 16, 32));
FMS_INT(kBlocks, 1, "blocks of which the registers fit on an SM", range(1, 16));
FMS_BOOL(kVectorLoads, false, "rows start at multiples of 4 elements, and dims are such");
FMS_BOOL(kBlockTable, false, "the tiles of keys to visit come from a table");

namespace fms {

// All that the parts of the kernel are made by.
struct AttentionTile
    : SimtAttentionTraits<::kHeadDim, ::kValueDim, ::kBlockM, ::kBlockN, ::kThreads, ::kLanes> {
  using Element = T;
  using SeqQ = decltype(::kSeqQ);
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
  enum : bool { kVectorLoads = ::kVectorLoads, kBlockTable = ::kBlockTable };
  static_assert(!kVectorLoads || (::kHeadDim % 4 == 0 && ::kValueDim % 4 == 0),
                "a row is then a whole number of vectors");
  static_assert(!kPacked || (!SeqQ::kIsExact && !SeqK::kIsExact),
                "packed sequences have lengths of their own");
};

}  // namespace fms

// One block a tile of queries of a head: grid.x is ceil(seq_q / kBlockM) * batch * heads.
// scale_log2 is scale * log2(e).
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    attention_forward_simt(const T* __restrict__ q, const T* __restrict__ k,
                           const T* __restrict__ v, T* __restrict__ o, float* __restrict__ lse,
                           const fms::AttentionLayout layout,
                           const __grid_constant__ fms::AttentionOptions options, int heads,
                           int batch_heads, int seq_q_argument, int seq_k_argument,
                           float scale_log2, const __grid_constant__ Mods mods) {
  using Tile = fms::AttentionTile;
  extern __shared__ __align__(16) float smem[];
  float* const queries = smem;
  float* const keys = smem + Tile::kKeysAt;
  float* const values = smem + Tile::kValuesAt;
  float* const weights = smem + Tile::kWeightsAt;

  const int group = int(threadIdx.x) / kLanes;
  const int lane = int(threadIdx.x) % kLanes;
  const fms::SimtAttentionBlock<Tile> block(options, heads, batch_heads, kSeqQ(seq_q_argument),
                                            kSeqK(seq_k_argument));
  const fms::AttentionSequence& sequence = block.sequence;
  if (kPacked && block.first >= sequence.seq_q) return;  // shorter than the longest
  const int batch = kPacked ? 0 : block.batch;           // one array holds all packed sequences
  const T* q_rows = q + batch * layout.q.batch + block.head * layout.q.head +
                    (sequence.q_row + block.first) * layout.q.row;
  const T* k_rows =
      k + batch * layout.k.batch + block.kv_head * layout.k.head + sequence.k_row * layout.k.row;
  const T* v_rows =
      v + batch * layout.v.batch + block.kv_head * layout.v.head + sequence.k_row * layout.v.row;

  // Padding columns take part in both products and are never written again.
  for (int i = int(threadIdx.x); i < Tile::kWeightsAt; i += kThreads) smem[i] = 0.0f;
  __syncthreads();
  fms::load_tile<kBlockM, kHeadDim, Tile::kDimStride, kThreads, kVectorLoads,
                 kSeqQ.divides_by(kBlockM)>(queries, q_rows, layout.q.row,
                                            sequence.seq_q - block.first);

  constexpr bool kWholeTiles = kSeqK.divides_by(kBlockN);
  constexpr bool kTileSums = sizeof(T) == 4;  // rounding to 16 bits would hide the difference
  const fms::SimtScoreSteps<Tile> steps{block, options, mods, scale_log2, group, lane};
  fms::SimtAttentionRows<Tile> rows;
  rows.clear();
  for (auto visits = block.visits(options.table); !visits.done(); visits.step()) {
    const int first_key = visits.tile() * kBlockN;
    const int tile_keys = sequence.seq_k - first_key;
    fms::load_tile<kBlockN, kHeadDim, Tile::kDimStride, kThreads, kVectorLoads, kWholeTiles>(
        keys, k_rows + first_key * layout.k.row, layout.k.row, tile_keys);
    fms::load_tile<kBlockN, kValueDim, Tile::kValueStride, kThreads, kVectorLoads, kWholeTiles>(
        values, v_rows + first_key * layout.v.row, layout.v.row, tile_keys);
    __syncthreads();
    fms::SimtScores<Tile> scores;
    fms::multiply_keys<Tile>(queries, keys, group, lane, scores);
    steps.apply(scores, first_key, block.is_partial(first_key), visits.asks_mask());
    fms::update_softmax<Tile>(scores, group, lane, rows, weights);
    __syncwarp();  // a row's weights are read by the lanes that wrote them, all of one warp
    fms::multiply_values<Tile, kTileSums>(weights, values, group, lane, rows);
    __syncthreads();  // before the next tile overwrites this one
  }
  fms::store_rows(
      rows, block, group, lane, kSinks ? options.sinks[block.head] : 0.0f,
      o + batch * layout.o.batch + block.head * layout.o.head + sequence.q_row * layout.o.row,
      layout.o.row, lse + sequence.lse_row<kPacked>(options, block.batch_head, block.head));
}

#endif  // FMS_ATTENTION_FORWARD_SIMT_CUH_
