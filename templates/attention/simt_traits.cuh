#ifndef FMS_ATTENTION_SIMT_TRAITS_CUH_
#define FMS_ATTENTION_SIMT_TRAITS_CUH_

namespace fms {

// What the SIMT attention kernels derive from their tile; nothing here is chosen.
//
// A block computes kBlockM query rows against kBlockN keys at a time. kLanes neighbouring threads
// share kRows of the rows: each has kKeys columns of the scores and kColumns of the output, of the
// same rows, so that a row's maximum and sum stay inside a warp and its rescaling inside a thread.
//
// Both products read shared memory four floats at a time: kRows + kKeys reads feed 4 * kRows *
// kKeys multiply-adds of the scores, and kRows + 4 * kChunks reads feed 4 * kRows * kColumns of the
// output. Rows and keys of one thread lie kRowGroups and kLanes apart, so that neighbouring threads
// read neighbouring rows; a stride of an odd number of 16-byte units then spreads those over all
// banks.
template <int kHeadDim_, int kValueDim_, int kBlockM_, int kBlockN_, int kThreads_, int kLanes_>
struct SimtAttentionTraits {
  enum : int {
    kHeadDim = kHeadDim_,    // of queries and keys
    kValueDim = kValueDim_,  // of values and the output
    kBlockM = kBlockM_,
    kBlockN = kBlockN_,
    kThreads = kThreads_,
    kLanes = kLanes_
  };
  static_assert(kThreads % 32 == 0, "rows are shared inside whole warps");
  static_assert(kLanes <= 32 && (kLanes & (kLanes - 1)) == 0, "lanes reduce by butterflies");

  enum : int {
    kRowGroups = kThreads / kLanes,
    kRows = kBlockM / kRowGroups,
    kKeys = kBlockN / kLanes
  };
  static_assert(kBlockM % kRowGroups == 0 && kRows > 0, "each group has the same number of rows");
  static_assert(kBlockN % kLanes == 0 && kKeys > 0, "each lane has the same number of keys");
  static_assert(kBlockN % 4 == 0, "the output product takes four keys a step");

  // Output columns of one lane: kChunks runs of kWidth neighbours.
  enum : int {
    kWidth = kValueDim % (4 * kLanes) == 0 ? 4 : (kValueDim % (2 * kLanes) == 0 ? 2 : 1),
    kChunks = (kValueDim + kWidth * kLanes - 1) / (kWidth * kLanes),
    kColumns = kChunks * kWidth
  };

  __host__ __device__ static constexpr int odd_units(int floats) {
    return (floats + 3) / 4 % 2 == 0 ? (floats + 3) / 4 * 4 + 4 : (floats + 3) / 4 * 4;
  }
  enum : int {
    kDimSteps = (kHeadDim + 3) / 4,  // of the score product
    kDimStride = odd_units(kHeadDim),
    kValueStride = (kColumns * kLanes + 3) / 4 * 4,
    kWeightStride = odd_units(kBlockN)
  };

  // Shared memory, in floats: queries, keys, values, weights.
  enum : int {
    kKeysAt = kBlockM * kDimStride,
    kValuesAt = kKeysAt + kBlockN * kDimStride,
    kWeightsAt = kValuesAt + kBlockN * kValueStride,
    kSmemFloats = kWeightsAt + kBlockM * kWeightStride,
    kSmemBytes = kSmemFloats * 4
  };
};

}  // namespace fms

#endif  // FMS_ATTENTION_SIMT_TRAITS_CUH_
