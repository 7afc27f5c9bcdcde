#ifndef FMS_ATTENTION_SM80_TRAITS_CUH_
#define FMS_ATTENTION_SM80_TRAITS_CUH_

#include "tile/padded_rows.cuh"

namespace fms {

// What attention_forward_sm80 derives from its tile; nothing here is chosen.
//
// kRowWarps warps have kRowTiles times 16 rows each; kKeyWarps of them share those rows, and have
// the keys of a tile among them. Two row tiles a warp take twice the registers, and read every key
// and value from shared memory half as often.
template <int kHeadDim_, int kValueDim_, int kRowWarps_, int kKeyWarps_, int kRowTiles_,
          int kBlockN_, int kStages_, bool kQueryRegisters_>
struct Sm80AttentionTraits {
  enum : int {
    kHeadDim = kHeadDim_,
    kValueDim = kValueDim_,
    kRowWarps = kRowWarps_,
    kKeyWarps = kKeyWarps_,
    kRowTiles = kRowTiles_,
    kBlockN = kBlockN_,
    kStages = kStages_
  };
  enum : bool { kQueryRegisters = kQueryRegisters_ };

  enum : int {
    kWarpRows = 16 * kRowTiles,
    kBlockM = kWarpRows * kRowWarps,
    kWarpKeys = kBlockN / kKeyWarps,
    kThreads = 32 * kRowWarps * kKeyWarps
  };
  static_assert(kBlockN % (16 * kKeyWarps) == 0, "keys are K of the second product: sixteens");

  using Keys = PaddedRows<kHeadDim>;  // and queries
  using Values = PaddedRows<kValueDim>;
  // Shared memory: queries, then kStages times a tile of keys and one of values.
  enum : int {
    kKeyBytes = kBlockN * Keys::kPitch,
    kStageBytes = kKeyBytes + kBlockN * Values::kPitch,
    kStagesAt = kBlockM * Keys::kPitch,
    kTilesBytes = kStagesAt + kStages * kStageBytes,
    // Warps, and blocks, that share rows hand on their maxima, sums and output in the same memory:
    // each warp its own, and the block what all of its warps have.
    kPartFloats = kValueDim / 2 + 4,  // of a thread
    kPartBytes = 32 * 4 * kPartFloats
  };
  enum : bool { kJoins = kKeyWarps > 1 };
  static_assert(!kJoins || (kRowWarps == 1 && kRowTiles == 1), "all warps have the same 16 rows");
  enum : int {
    kSharedBytes = kJoins ? (kKeyWarps + 1) * kPartBytes : 0,
    kSmemBytes = kTilesBytes > kSharedBytes ? kTilesBytes : kSharedBytes
  };
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_TRAITS_CUH_
