#ifndef FMS_ATTENTION_SM90_TRAITS_CUH_
#define FMS_ATTENTION_SM90_TRAITS_CUH_

#include "tile/pipeline.cuh"

namespace fms {

// What attention_forward_sm90 derives from its tile; nothing here is chosen.
//
// Tiles in shared memory are panels of 64 columns, rows of 128 bytes in the 128-byte swizzle, which
// is both what one bulk copy writes and what wgmma reads. The copies of the last panel are as wide
// as its columns are (PanelMaps); up to the next 16, where the product of queries and keys ends,
// columns are zeros.
// With kSumColumn a tile of values has one more panel, whose first column is ones: the product with
// it is the sum of the weights.
template <int kHeadDim_, int kValueDim_, int kWarpgroups_, int kBlockN_, int kStages_,
          int kQueryStages_, int kCluster_, bool kSumColumn_, int kBiasStages_, bool kSlopes_>
struct Sm90AttentionTraits {
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kValueDim = kValueDim_;
  static constexpr int kWarpgroups = kWarpgroups_;
  static constexpr int kBlockN = kBlockN_;
  static constexpr int kStages = kStages_;
  static constexpr int kQueryStages = kQueryStages_;
  static constexpr int kCluster = kCluster_;
  static constexpr bool kSumColumn = kSumColumn_;
  static constexpr int kBiasStages = kBiasStages_;
  static constexpr bool kSlopes = kSlopes_;
  static_assert(kHeadDim % 8 == 0 && kHeadDim <= 256, "panels are copied in rows of 16 bytes");
  static_assert(kValueDim % 8 == 0 && kValueDim <= 256, "wgmma takes N in eights up to 256");
  static_assert(kBlockN % 16 == 0 && kBlockN <= 256, "keys are K of the second product: sixteens");
  static_assert(kBlockN % (8 * kCluster) == 0, "a block of the cluster loads whole swizzle atoms");
  static_assert(!kSumColumn || (kValueDim % 64 == 0 && kValueDim < 256),
                "the panel of ones follows whole panels of values, and wgmma takes N up to 256");
  static_assert(kBiasStages == 0 || (kBlockN % 64 == 0 && kBiasStages * 64 >= kBlockN),
                "a tile's biases are pieces of 64 columns, all there at once");
  static_assert(kBiasStages == 0 || kWarpgroups <= 2,
                "a producer warp for each warpgroup's biases");
  static_assert(kWarpgroups >= 1 && kWarpgroups <= 3, "registers: 64 x kBlockN scores each");

  static constexpr int kBlockM = 64 * kWarpgroups;
  static constexpr int kThreads = 128 * (kWarpgroups + 1);
  static constexpr int kConsumerWarps = 4 * kWarpgroups;
  // The register file, shared out between a producer that needs few and the consumers.
  static constexpr int kProducerRegisters = kWarpgroups == 1 ? 56 : kWarpgroups == 2 ? 40 : 32;
  static constexpr int kConsumerRegisters = kWarpgroups == 1 ? 256 : kWarpgroups == 2 ? 232 : 160;

  static constexpr int kPanels = (kHeadDim + 63) / 64;
  static constexpr int kValuePanels = (kValueDim + 63) / 64;
  static constexpr int kSteps = (kHeadDim + 15) / 16;  // products of 16 columns for a score
  static constexpr int kQueryPanelBytes = kBlockM * 128;
  static constexpr int kQueryBytes = kPanels * kQueryPanelBytes;
  static constexpr int kKeyPanelBytes = kBlockN * 128;  // of values, too
  static constexpr int kKeyBytes = kPanels * kKeyPanelBytes;
  static constexpr int kValueLoadBytes = kValuePanels * kKeyPanelBytes;
  static constexpr int kOnesAt = kValueLoadBytes;  // in a tile of values
  static constexpr int kValueBytes = kValueLoadBytes + (kSumColumn ? kKeyPanelBytes : 0);
  static constexpr int kOutputColumns = kValueDim + (kSumColumn ? 8 : 0);

  using QueryPipeline = Pipeline<kQueryStages>;
  using KeyPipeline = Pipeline<kStages, kCluster>;
  static constexpr int kKeysAt = kQueryStages * kQueryBytes;
  // AttentionSlope's, in whole kilobytes. The product takes half of its operand twice, which
  // compute-sanitizer counts as twice the bytes: those that follow must be the block's too.
  static constexpr int kColumnsAt = kKeysAt + kStages * kKeyBytes;
  static constexpr int kColumnBytes = kSlopes ? (kBlockN * 16 + 1023) / 1024 * 1024 : 0;
  static constexpr int kValuesAt = kColumnsAt + kColumnBytes;
  static constexpr int kBiasPieces = kBlockN / 64;
  static constexpr int kBiasBytes = 64 * 128;  // a panel of a warpgroup's rows
  // The buffers of a tile's biases are those of the next one's.
  static constexpr bool kBiasesAtOnce = kBiasStages < 2 * kBiasPieces;
  using BiasPipeline = Pipeline<kBiasStages == 0 ? 1 : kBiasStages>;
  static constexpr int kBiasBarrierBytes = kBiasStages == 0 ? 0 : BiasPipeline::kBytes;
  static constexpr int kBiasesAt = kValuesAt + kStages * kValueBytes;
  static constexpr int kQueryBarriersAt = kBiasesAt + kWarpgroups * kBiasStages * kBiasBytes;
  static constexpr int kKeyBarriersAt = kQueryBarriersAt + QueryPipeline::kBytes;
  static constexpr int kValueBarriersAt = kKeyBarriersAt + KeyPipeline::kBytes;
  static constexpr int kBiasBarriersAt = kValueBarriersAt + KeyPipeline::kBytes;
  static constexpr int kScratchAt =
      kBiasBarriersAt + kWarpgroups * kBiasBarrierBytes;  // a word a warp
  static constexpr int kSmemBytes = kScratchAt + 4 * kConsumerWarps;
  static_assert(kSmemBytes <= 227 * 1024, "what a block of sm_90 may have");
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_TRAITS_CUH_
