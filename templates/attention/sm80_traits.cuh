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
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kValueDim = kValueDim_;
  static constexpr int kRowWarps = kRowWarps_;
  static constexpr int kKeyWarps = kKeyWarps_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kBlockN = kBlockN_;
  static constexpr int kStages = kStages_;
  static constexpr bool kQueryRegisters = kQueryRegisters_;

  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kBlockM = kWarpRows * kRowWarps;
  static constexpr int kWarpKeys = kBlockN / kKeyWarps;
  static constexpr int kThreads = 32 * kRowWarps * kKeyWarps;
  static_assert(kBlockN % (16 * kKeyWarps) == 0, "keys are K of the second product: sixteens");

  using Keys = PaddedRows<kHeadDim>;  // and queries
  using Values = PaddedRows<kValueDim>;
  // Shared memory: queries, then kStages times a tile of keys and one of values.
  static constexpr int kKeyBytes = kBlockN * Keys::kPitch;
  static constexpr int kStageBytes = kKeyBytes + kBlockN * Values::kPitch;
  static constexpr int kStagesAt = kBlockM * Keys::kPitch;
  static constexpr int kTilesBytes = kStagesAt + kStages * kStageBytes;
  // Warps, and blocks, that share rows hand on their maxima, sums and output in the same memory:
  // each warp its own, and the block what all of its warps have.
  static constexpr int kPartFloats = kValueDim / 2 + 4;  // of a thread
  static constexpr int kPartBytes = 32 * 4 * kPartFloats;
  static constexpr bool kJoins = kKeyWarps > 1;
  static_assert(!kJoins || (kRowWarps == 1 && kRowTiles == 1), "all warps have the same 16 rows");
  static constexpr int kSharedBytes = kJoins ? (kKeyWarps + 1) * kPartBytes : 0;
  static constexpr int kSmemBytes = kTilesBytes > kSharedBytes ? kTilesBytes : kSharedBytes;
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_TRAITS_CUH_
