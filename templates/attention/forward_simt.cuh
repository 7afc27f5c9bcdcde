#ifndef FMS_ATTENTION_FORWARD_SIMT_CUH_
#define FMS_ATTENTION_FORWARD_SIMT_CUH_

// Attention, forward, for any architecture: o = softmax(scale * q k^T, masked) v by fp32
// multiply-adds, tile by tile with online softmax, so that no score reaches memory.
//
// runtime/ops/attention.cpp chooses the tile and launches; the order of all sums is the tile's, so
// the same tile gives the same bits whether sizes are constants or arguments.

#include "attention/simt_tile.cuh"
#include "attention/simt_traits.cuh"
#include "attention/strides.cuh"
#include "fms/parameter.cuh"
#include "tile/element.cuh"
#include "tile/infinity.cuh"
#include "tile/load_tile.cuh"

FMS_KERNEL(attention_forward_simt, "o = softmax(scale * q k^T) v, by fp32 multiply-adds");
FMS_TYPE(T, bfloat16, "element type of q, k, v and o", choices(float32, float16, bfloat16));
FMS_INT(kHeadDim, 64, "columns of q, k, v and o", range(1, 256));
FMS_ENUM(Mask, kMask, kFull, "which keys a query sees", choices(kFull, kCausal, kCausalTopLeft));
FMS_BOOL(kReturnLse, false, "also writes the log-sum-exp of each row");
FMS_INT(kGroup, 1, "query heads that share a key head", range(1, 65536));
FMS_SIZE(kSeqQ, "queries of a head", range(0, 1073741824));
FMS_SIZE(kSeqK, "keys of a head", range(0, 1073741824));
FMS_INT(kBlockM, 64, "queries of a tile", range(1, 256));
FMS_INT(kBlockN, 64, "keys of a tile", range(4, 256), divisible(4));
FMS_INT(kThreads, 128, "threads of a block", range(32, 512), divisible(32));
FMS_INT(kLanes, 16, "threads that share a query row", choices(1, 2, 4, 8, 16, 32));
FMS_INT(kBlocks, 1, "blocks of which the registers fit on an SM", range(1, 16));
FMS_BOOL(kVectorLoads, false, "rows start at multiples of 4 elements, and head_dim is one");

namespace fms {

using AttentionTile = SimtAttentionTraits<kHeadDim, kBlockM, kBlockN, kThreads, kLanes>;
using AttentionRows = SimtAttentionRows<AttentionTile>;
static_assert(!kVectorLoads || kHeadDim % 4 == 0, "a row is then a whole number of vectors");

// The tile of queries that this block computes.
struct AttentionBlock {
  int batch, head, kv_head;
  int batch_head;  // row of lse
  int first;       // query
  int visible;     // keys that row 0 of the tile sees, unclamped: row r sees r more under a mask
};

__device__ inline AttentionBlock attention_block(int heads, int batch_heads, int seq_q, int seq_k) {
  // Last tile first, all heads side by side: under a causal mask the last tiles see the most keys,
  // and the short ones then fill the tail of the launch.
  const unsigned tiles = gridDim.x / unsigned(batch_heads);
  const unsigned tile = tiles - 1 - blockIdx.x / unsigned(batch_heads);
  AttentionBlock block;
  block.batch_head = int(blockIdx.x % unsigned(batch_heads));
  block.batch = block.batch_head / heads;
  block.head = block.batch_head % heads;
  block.kv_head = block.head / kGroup;
  block.first = int(tile) * kBlockM;
  block.visible = seq_k;
  if constexpr (kMask == Mask::kCausal) block.visible = block.first + 1 + seq_k - seq_q;
  if constexpr (kMask == Mask::kCausalTopLeft) block.visible = block.first + 1;
  return block;
}

// Divides by the sum and writes the rows of this thread. Rows that saw no key are 0, and -inf.
__device__ inline void store_rows(const AttentionRows& rows, const AttentionBlock& block, int group,
                                  int lane, int seq_q, T* o, long long row_stride, float* lse) {
  using Stored = Pack<T, kVectorLoads ? AttentionTile::kWidth : 1>;
  constexpr int kStored = kVectorLoads ? AttentionTile::kWidth : 1;
#pragma unroll
  for (int r = 0; r < AttentionTile::kRows; ++r) {
    const int row = block.first + group + r * AttentionTile::kRowGroups;
    const float sum = lanes_sum<kLanes>(rows.sum[r]);
    if (!kSeqQ.divides_by(kBlockM) && row >= seq_q) continue;
    const float inverse = sum == 0.0f ? 0.0f : __fdiv_rn(1.0f, sum);
    T* out = o + row * row_stride;
#pragma unroll
    for (int c = 0; c < AttentionTile::kColumns; c += kStored) {
      const int column = c / AttentionTile::kWidth * kLanes * AttentionTile::kWidth +
                         lane * AttentionTile::kWidth + c % AttentionTile::kWidth;
      Stored stored;
#pragma unroll
      for (int e = 0; e < kStored; ++e) {
        stored.element[e] = Element<T>::store(__fmul_rn(rows.output[r][c + e], inverse));
      }
      if (column < kHeadDim) *reinterpret_cast<Stored*>(out + column) = stored;
    }
    if constexpr (kReturnLse) {
      constexpr float kLn2 = 0.693147180559945309f;
      if (lane == 0) {
        lse[static_cast<long long>(block.batch_head) * seq_q + row] =
            sum == 0.0f ? -infinity() : fmaf(rows.max[r], kLn2, logf(sum));
      }
    }
  }
}

}  // namespace fms

// One block a tile of queries of a head: grid.x is ceil(seq_q / kBlockM) * batch * heads.
// scale_log2 is scale * log2(e).
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    attention_forward_simt(const T* __restrict__ q, const T* __restrict__ k,
                           const T* __restrict__ v, T* __restrict__ o, float* __restrict__ lse,
                           const fms::AttentionLayout layout, int heads, int batch_heads,
                           int seq_q_argument, int seq_k_argument, float scale_log2) {
  using Tile = fms::AttentionTile;
  extern __shared__ __align__(16) float smem[];
  float* const queries = smem;
  float* const keys = smem + Tile::kKeysAt;
  float* const values = smem + Tile::kValuesAt;
  float* const weights = smem + Tile::kWeightsAt;

  const int seq_q = kSeqQ(seq_q_argument);
  const int seq_k = kSeqK(seq_k_argument);
  const int group = int(threadIdx.x) / kLanes;
  const int lane = int(threadIdx.x) % kLanes;
  const fms::AttentionBlock block = fms::attention_block(heads, batch_heads, seq_q, seq_k);
  const T* q_rows =
      q + block.batch * layout.q.batch + block.head * layout.q.head + block.first * layout.q.row;
  const T* k_rows = k + block.batch * layout.k.batch + block.kv_head * layout.k.head;
  const T* v_rows = v + block.batch * layout.v.batch + block.kv_head * layout.v.head;

  // Padding columns take part in both products and are never written again.
  for (int i = int(threadIdx.x); i < Tile::kWeightsAt; i += kThreads) smem[i] = 0.0f;
  __syncthreads();
  fms::load_tile<kBlockM, kHeadDim, Tile::kDimStride, kThreads, kVectorLoads,
                 kSeqQ.divides_by(kBlockM)>(queries, q_rows, layout.q.row, seq_q - block.first);

  constexpr bool kMasked = kMask != Mask::kFull;
  constexpr bool kWholeTiles = kSeqK.divides_by(kBlockN);
  constexpr bool kTileSums = sizeof(T) == 4;  // rounding to 16 bits would hide the difference
  // Keys past what the tile's last row sees are skipped.
  const int last_row = min(kBlockM, seq_q - block.first) - 1;
  const int end = kMasked ? min(seq_k, block.visible + last_row) : seq_k;
  fms::AttentionRows rows;
  rows.clear();
  for (int first_key = 0; first_key < end; first_key += kBlockN) {
    const int tile_keys = seq_k - first_key;
    fms::load_tile<kBlockN, kHeadDim, Tile::kDimStride, kThreads, kVectorLoads, kWholeTiles>(
        keys, k_rows + first_key * layout.k.row, layout.k.row, tile_keys);
    fms::load_tile<kBlockN, kHeadDim, Tile::kValueStride, kThreads, kVectorLoads, kWholeTiles>(
        values, v_rows + first_key * layout.v.row, layout.v.row, tile_keys);
    __syncthreads();
    fms::SimtScores<Tile> scores;
    fms::multiply_keys<Tile>(queries, keys, group, lane, scores);
#pragma unroll
    for (int r = 0; r < Tile::kRows; ++r) {
#pragma unroll
      for (int j = 0; j < Tile::kKeys; ++j) scores[r][j] = __fmul_rn(scores[r][j], scale_log2);
    }
    if ((!kWholeTiles && tile_keys < kBlockN) || (kMasked && block.visible - first_key < kBlockN)) {
      const int limit = kMasked ? block.visible - first_key + group : kBlockN;
      fms::mask_scores<Tile>(scores, lane, tile_keys, limit, kMasked ? Tile::kRowGroups : 0);
    }
    fms::update_softmax<Tile>(scores, group, lane, rows, weights);
    __syncwarp();  // a row's weights are read by the lanes that wrote them, all of one warp
    fms::multiply_values<Tile, kTileSums>(weights, values, group, lane, rows);
    __syncthreads();  // before the next tile overwrites this one
  }
  fms::store_rows(rows, block, group, lane, seq_q,
                  o + block.batch * layout.o.batch + block.head * layout.o.head, layout.o.row, lse);
}

#endif  // FMS_ATTENTION_FORWARD_SIMT_CUH_
