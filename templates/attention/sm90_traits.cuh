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
  enum : int {
    kHeadDim = kHeadDim_,
    kValueDim = kValueDim_,
    kWarpgroups = kWarpgroups_,
    kBlockN = kBlockN_,
    kStages = kStages_,
    kQueryStages = kQueryStages_,
    kCluster = kCluster_
  };
  enum : bool { kSumColumn = kSumColumn_ };
  enum : int { kBiasStages = kBiasStages_ };
  enum : bool { kSlopes = kSlopes_ };
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

  enum : int {
    kBlockM = 64 * kWarpgroups,
    kThreads = 128 * (kWarpgroups + 1),
    kConsumerWarps = 4 * kWarpgroups,
    // The register file, shared out between a producer that needs few and the consumers.
    kProducerRegisters = kWarpgroups == 1   ? 56
                         : kWarpgroups == 2 ? 40
                                            : 32,
    kConsumerRegisters = kWarpgroups == 1   ? 256
                         : kWarpgroups == 2 ? 232
                                            : 160
  };

  enum : int {
    kPanels = (kHeadDim + 63) / 64,
    kValuePanels = (kValueDim + 63) / 64,
    kSteps = (kHeadDim + 15) / 16,  // products of 16 columns for a score
    kQueryPanelBytes = kBlockM * 128,
    kQueryBytes = kPanels * kQueryPanelBytes,
    kKeyPanelBytes = kBlockN * 128,  // of values, too
    kKeyBytes = kPanels * kKeyPanelBytes,
    kValueLoadBytes = kValuePanels * kKeyPanelBytes,
    kOnesAt = kValueLoadBytes,  // in a tile of values
    kValueBytes = kValueLoadBytes + (kSumColumn ? kKeyPanelBytes : 0),
    kOutputColumns = kValueDim + (kSumColumn ? 8 : 0)
  };

  using QueryPipeline = Pipeline<kQueryStages>;
  using KeyPipeline = Pipeline<kStages, kCluster>;
  enum : int {
    kKeysAt = kQueryStages * kQueryBytes,
    // AttentionSlope's, in whole kilobytes. The product takes half of its operand twice, which
    // compute-sanitizer counts as twice the bytes: those that follow must be the block's too.
    kColumnsAt = kKeysAt + kStages * kKeyBytes,
    kColumnBytes = kSlopes ? (kBlockN * 16 + 1023) / 1024 * 1024 : 0,
    kValuesAt = kColumnsAt + kColumnBytes,
    kBiasPieces = kBlockN / 64,
    kBiasBytes = 64 * 128  // a panel of a warpgroup's rows
  };
  // The buffers of a tile's biases are those of the next one's.
  enum : bool { kBiasesAtOnce = kBiasStages < 2 * kBiasPieces };
  using BiasPipeline = Pipeline<kBiasStages == 0 ? 1 : kBiasStages>;
  enum : int {
    kBiasBarrierBytes = kBiasStages == 0 ? 0 : BiasPipeline::kBytes,
    kBiasesAt = kValuesAt + kStages * kValueBytes,
    kQueryBarriersAt = kBiasesAt + kWarpgroups * kBiasStages * kBiasBytes,
    kKeyBarriersAt = kQueryBarriersAt + QueryPipeline::kBytes,
    kValueBarriersAt = kKeyBarriersAt + KeyPipeline::kBytes,
    kBiasBarriersAt = kValueBarriersAt + KeyPipeline::kBytes,
    kScratchAt = kBiasBarriersAt + kWarpgroups * kBiasBarrierBytes,  // a word a warp
    kSmemBytes = kScratchAt + 4 * kConsumerWarps
  };
  static_assert(kSmemBytes <= 227 * 1024, "what a block of sm_90 may have");
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_TRAITS_CUH_
