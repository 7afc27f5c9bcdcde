#ifndef FMS_ATTENTION_FORWARD_SM90_CUH_
#define FMS_ATTENTION_FORWARD_SM90_CUH_

// Attention, forward, for Hopper: o = softmax(scale * q k^T, masked) v on the tensor cores.
//
// A persistent block has a warpgroup of producers, of which two threads drive the copy engine, and
// consumer warpgroups with 64 queries each. A consumer computes the scores of a tile of keys while
// the weights of the tile before are still multiplied by their values, and weighs them under that
// product and those of the other warpgroups.
//
// Weights are relative to a maximum that may lag: the loop over keys computes no maximum and
// rescales nothing. A tile in which some weight turns out 2 or more is weighed anew, with its
// maximum (tile/online_softmax.cuh).
//
// Key tiles are visited from the last to the first, so that masks come first and most tiles need
// none. The order of all sums is the tile's: the same tile gives the same bits whether sizes are
// constants or arguments.

// The products of the kernel: Tile::kBlockN and Tile::kOutputColumns.
#ifdef FMS_SPECIALIZED
#define FMS_WGMMA_HAS(n) \
  ((n) == FMS_VALUE_kBlockN || (n) == FMS_VALUE_kValueDim + 8 * FMS_VALUE_kSumColumn)
#endif

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/sm90_biases.cuh"
#include "attention/sm90_consumer.cuh"
#include "attention/sm90_maps.cuh"
#include "attention/sm90_producer.cuh"
#include "attention/sm90_schedule.cuh"
#include "attention/sm90_slope.cuh"
#include "attention/sm90_store.cuh"
#include "attention/sm90_traits.cuh"
#include "attention/sm90_work.cuh"
#include "attention/strides.cuh"
#include "fms/parameter.cuh"
#include "ptx/cluster.cuh"
#include "ptx/pack.cuh"
#include "ptx/setmaxnreg.cuh"
#include "ptx/tma.cuh"

FMS_KERNEL(attention_forward_sm90, "o = softmax(scale * q k^T) v, by wgmma");
FMS_TYPE(T, bfloat16, "element type of q, k, v and o", choices(float16, bfloat16));
FMS_INT(kHeadDim, 64, "columns of q and k", range(8, 256), divisible(8));
FMS_INT(kValueDim, 64, "columns of v and o", range(8, 256), divisible(8));
FMS_ENUM(Mask, kMask, kFull, "which keys a query sees",
         choices(kFull, kCausal, kCausalTopLeft, kWindow, kWindowTopLeft));
FMS_BOOL(kSoftcap, false, "scores are softcap * tanh(score / softcap)");
FMS_BOOL(kSinks, false, "each head has a logit that takes part in the sum of weights");
FMS_BOOL(kPacked, false, "sequences of several lengths lie one behind the other");
FMS_BOOL(kReturnLse, false, "also writes the log-sum-exp of each row");
FMS_INT(kGroup, 1, "query heads that share a key head", range(1, 65536));
FMS_SIZE(kSeqQ, "queries of a head", range(0, 1073741824));
FMS_SIZE(kSeqK, "keys of a head", range(0, 1073741824));
FMS_INT(kWarpgroups, 2, "consumer warpgroups, of 64 queries each", range(1, 3));
FMS_INT(kBlockN, 128, "keys of a tile", range(16, 256), divisible(16));
FMS_INT(kStages, 2, "tiles of keys, and of values, in flight", range(1, 8));
FMS_INT(kQueryStages, 1, "tiles of queries in flight", range(1, 2));
FMS_INT(kCluster, 1, "blocks that share keys and values by multicast", choices(1, 2));
FMS_ENUM(Schedule, kSchedule, kSnake, "order of tiles under a mask", choices(kSnake, kPairs));
FMS_INT(kHeadsAbreast, 0, "heads of which tiles alternate in kSnake under a mask; 0: all",
        range(0, 65536));
FMS_BOOL(kPingPong, true, "warpgroups issue their products in turn");
FMS_BOOL(kPingPongDynamic, false, "the same where sizes are arguments");
FMS_BOOL(kQueryRegisters, false, "queries are multiplied from registers");
FMS_INT(kPolynomials, 0, "of 16 exponentials, computed on the FMA units", range(0, 16));
FMS_INT(kMaxLag, 8, "log2 by which a row's maximum may lag", range(1, 16));
FMS_BOOL(kUnrolled, true, "the loop over keys is of two tiles, else weights are moved");
FMS_BOOL(kHoldByStore, false, "with exact sizes ptxas is kept from waiting early by a store");
FMS_BOOL(kSumColumn, false, "weights are summed by the tensor cores too");
FMS_BOOL(kTanhApprox, false, "scores are capped by tanh.approx, right to 2^-11");
FMS_INT(kBiasStages, 0, "pieces of 64 columns of biases in flight; 0: functions read them",
        range(0, 8));
FMS_BOOL(kBlockTable, false, "a table lists the tiles of keys that each tile of queries visits");

namespace fms {

// All that the parts of the kernel are made by.
struct AttentionTile
    : Sm90AttentionTraits<::kHeadDim, ::kValueDim, ::kWarpgroups, ::kBlockN, ::kStages,
                          ::kQueryStages, ::kCluster, ::kSumColumn,
                          fms::HasBiasMap<::Mods> ? ::kBiasStages : 0,
                          fms::HasSlope<::Mods> && !::kSoftcap && !fms::HasBiasRow<::Mods>> {
  using Element = T;
  using Mods = ::Mods;
  using SeqQ = decltype(::kSeqQ);
  using SeqK = decltype(::kSeqK);
  enum : bool {
    kMasked = kMask != Mask::kFull,
    kWindow = kMask == Mask::kWindow || kMask == Mask::kWindowTopLeft,
    kTopLeft = kMask == Mask::kCausalTopLeft || kMask == Mask::kWindowTopLeft,
    // Tiles of queries see more and more keys, or as the table has it.
    kUneven = (kMasked && !kWindow) || ::kBlockTable,
    kPairs = kUneven && kSchedule == Schedule::kPairs,
    kSoftcap = ::kSoftcap,
    kSinks = ::kSinks,
    kTanhApprox = ::kTanhApprox,
    kPacked = ::kPacked,
    kBlockTable = ::kBlockTable,
    // kSlopes: the tensor cores add them, to products. What comes after a cap, or after biases, is
    // as a function of the score.
    kHasScoreFunction = fms::HasScoreFunction<::Mods> || (fms::HasSlope<::Mods> && !kSlopes),
    kHasScore = kHasScoreFunction || fms::HasBiasRow<::Mods>,
    kHasBiasRow = fms::HasBiasRow<::Mods>,
    kHasMask = fms::HasMask<::Mods>,
    // Tiles of queries with the same biases are computed at the same time.
    kSharesBiases = kBiasStages > 0 && !kPacked,
    // Tiles of keys are visited from the diagonal on.
    kFromDiagonal = kSlopes && !kMasked && !kBlockTable,
    // All tiles of queries, or of keys, are full.
    kWholeQueries = !kPacked && SeqQ::divides_by(64 * ::kWarpgroups),
    kWholeKeys = !kPacked && SeqK::divides_by(::kBlockN),
    kReturnLse = ::kReturnLse
  };
  enum : int { kGroup = ::kGroup, kHeadsAbreast = ::kHeadsAbreast };
  enum : bool {
    kExact = SeqQ::kIsExact && SeqK::kIsExact,
    kPingPong = (kExact ? ::kPingPong : ::kPingPong || ::kPingPongDynamic) && ::kWarpgroups > 1,
    kQueryRegisters = ::kQueryRegisters
  };
  enum : int { kPolynomials = ::kPolynomials, kMaxLag = ::kMaxLag };
  enum : bool {
    kUnrolled = ::kUnrolled,
    // hold_wait_below(). Measured with head_dim 64: a store is better only where no sizes are
    // arguments.
    kHoldByStore = ::kHoldByStore && kExact
  };
  static_assert(::kCluster == 1 || (!kMasked && !kPacked && !kBlockTable),
                "blocks of a cluster go through the same keys");
  static_assert(!kPacked || (!SeqQ::kIsExact && !SeqK::kIsExact),
                "packed sequences have lengths of their own");
  static_assert(!::kSumColumn || !kReturnLse,
                "the sum of rounded weights is good for the quotient, not for a log-sum-exp");
};

using KeyMaps = MapsOf<::kHeadDim>::Type;  // and of queries
using ValueMaps = MapsOf<::kValueDim>::Type;

}  // namespace fms

// A persistent launch: grid.x is a number of blocks (a multiple of kCluster) that are all on the
// device at once, or less; grid.y is 1 or, in kPairs, 2. Maps are of (head_dim, rows, heads,
// batch), boxes of 64 columns, or those that the last panel has, and kBlockM rows (q) or kBlockN /
// kCluster rows (k and v), 128-byte swizzle. scale_log2 is scale * log2(e). Rows of o start at
// multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(fms::AttentionTile::kThreads, 1)
    attention_forward_sm90(const __grid_constant__ fms::KeyMaps q_maps,
                           const __grid_constant__ fms::KeyMaps k_maps,
                           const __grid_constant__ fms::ValueMaps v_maps, T* __restrict__ o,
                           float* __restrict__ lse, const fms::AttentionStrides o_strides,
                           const __grid_constant__ fms::AttentionOptions options, int heads,
                           int batch_heads, int seq_q_argument, int seq_k_argument,
                           float scale_log2, const __grid_constant__ Mods mods) {
  using Tile = fms::AttentionTile;
  extern __shared__ __align__(1024) unsigned char smem[];
  const fms::AttentionRings<Tile> rings{fms::shared_address(smem)};
  fms::AttentionShape<Tile> shape{options, heads, batch_heads, kSeqQ(seq_q_argument),
                                  kSeqK(seq_k_argument)};
  fms::note_shared_biases(shape, mods);
  const int rank = kCluster == 1 ? 0 : int(fms::cluster_rank());
  fms::TileSchedule<Tile::kPairs> schedule{int(gridDim.x) / kCluster, int(blockIdx.x) / kCluster};

  if constexpr (kSumColumn) {
    // Columns 0 to 7 of a row are 16 bytes; the swizzle moves them to the row's place in its eight.
    for (int i = int(threadIdx.x); i < kStages * kBlockN; i += Tile::kThreads) {
      const int row = i % kBlockN;
      unsigned char* panel =
          smem + Tile::kValuesAt + i / kBlockN * Tile::kValueBytes + Tile::kOnesAt;
      *reinterpret_cast<uint4*>(panel + row * 128 + row % 8 * 16) =
          make_uint4(fms::pack<T>(1.0f, 0.0f), 0, 0, 0);
    }
    fms::fence_async_proxy();
  }
  fms::clear_last_columns(rings);
  if constexpr (Tile::kSlopes) fms::store_columns<Tile>(smem + Tile::kColumnsAt);
  // The same in the whole warp, and the compiler is to know it.
  const int warp = __shfl_sync(0xffffffffu, int(threadIdx.x) / 32, 0);
  if (threadIdx.x == 0) {
    rings.queries().init(Tile::kConsumerWarps);
    rings.keys().init(Tile::kConsumerWarps);
    rings.values().init(Tile::kConsumerWarps);
    if constexpr (Tile::kBiasStages > 0) {
      for (int i = 0; i < kWarpgroups; ++i) rings.biases(i).init(4);
    }
    fms::fence_mbarrier_init();
    fms::prefetch_maps(q_maps);
    fms::prefetch_maps(k_maps);
    fms::prefetch_maps(v_maps);
  }
  if constexpr (kCluster == 1) {
    __syncthreads();
  } else {
    fms::cluster_sync();
  }

  if (warp < 4) {
    fms::decrease_registers<Tile::kProducerRegisters>();
    if (threadIdx.x == 0) fms::produce<Tile, true>(rings, shape, schedule, rank, q_maps, k_maps);
    if (threadIdx.x == 32) fms::produce<Tile, false>(rings, shape, schedule, rank, q_maps, v_maps);
    if constexpr (Tile::kBiasStages > 0) {
      const int warpgroup = warp - 2;
      if (threadIdx.x % 32 == 0 && warpgroup >= 0 && warpgroup < kWarpgroups) {
        fms::produce_biases<Tile>(rings, shape, schedule, mods, warpgroup);
      }
    }
    __syncwarp();
  } else {
    fms::increase_registers<Tile::kConsumerRegisters>();
    const int warpgroup = warp / 4 - 1;
    fms::AttentionConsumer<Tile> consumer{rings, shape, {options, mods, scale_log2}, warpgroup};
    if (warpgroup == kWarpgroups - 1) consumer.pass_turn();
    fms::AttentionPlace<Tile> place;
    for (; place.find(shape, schedule.position()); schedule.step()) {
      const fms::AttentionWork<Tile> work(shape, place, schedule.position(), rank);
      if (work.none) continue;
      const int row = work.first + 64 * warpgroup + warp % 4 * 16 + int(threadIdx.x) % 32 / 4;
      fms::AttentionFragments<Tile> fragments;
      fms::SoftmaxRows rows;
      consumer.compute(work, row, fragments, rows);
      const int batch_head = work.batch * heads + work.head;
      fms::store_rows(
          fragments, rows, row, work.sequence.seq_q, kSinks ? options.sinks[work.head] : 0.0f,
          o + (kPacked ? work.sequence.q_row * o_strides.row : work.batch * o_strides.batch) +
              work.head * o_strides.head,
          o_strides.row,
          lse + work.sequence.template lse_row<kPacked>(options, batch_head, work.head));
    }
  }
  if constexpr (kCluster > 1) fms::cluster_sync();  // no block leaves while others signal to it
}

#endif  // FMS_ATTENTION_FORWARD_SM90_CUH_
