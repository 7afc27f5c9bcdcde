#ifndef FMS_TILE_ONLINE_SOFTMAX_CUH_
#define FMS_TILE_ONLINE_SOFTMAX_CUH_

// Online softmax on the accumulators of wgmma: of each row a quad of lanes has all columns, a
// thread has two rows. Scores enter as products and become weights 2^(scale * score - max).
//
// Every operation that rounds is spelled out, so that kernels that differ only in which sizes are
// constants give the same bits.

#include "ptx/exp2.cuh"
#include "ptx/pack.cuh"
#include "tile/exp2_polynomial.cuh"
#include "tile/infinity.cuh"
#include "tile/lanes.cuh"

namespace fms {

// Of the two rows of a thread, the same in the whole quad but for `sum`, which is over this
// thread's columns. `max` is of scores in units of log2. It may lag behind the true maximum, by
// less than kMaxLag; `sum` and what is weighted are relative to 2^softmax_base, so that no weight
// reaches 2.
struct SoftmaxRows {
  float max[2];
  float sum[2];

  __device__ void clear() {
    max[0] = max[1] = -infinity();
    sum[0] = sum[1] = 0.0f;
  }
  __device__ void add(const float (&more)[2]) {
    sum[0] = __fadd_rn(sum[0], more[0]);
    sum[1] = __fadd_rn(sum[1], more[1]);
  }
};

// -inf for a row that has seen no key.
template <int kMaxLag>
__device__ inline float softmax_base(float max) {
  static_assert(kMaxLag >= 1, "a maximum that doesn't lag would have to be known first");
  return __fadd_rn(max, float(kMaxLag - 1));
}

// Makes the maxima of `rows` those of the tile too, whose scores are scale_log2 * score, and, if
// kShifts, `shift` more.
// What was weighted before is to be multiplied by `rescale`. REQUIRES: scale_log2 > 0.
template <bool kShifts = false, int kScores>
__device__ __forceinline__ void raise_max(const float (&scores)[kScores], float scale_log2,
                                          SoftmaxRows& rows, float (&rescale)[2],
                                          const float (&shift)[2] = {0.0f, 0.0f}) {
  // Two chains a row: one would wait for each result.
  float chain[4] = {scores[0], scores[1], scores[2], scores[3]};
#pragma unroll
  for (int i = 4; i < kScores; ++i) chain[i % 4] = fmaxf(chain[i % 4], scores[i]);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float tile_max = lanes_max<4>(fmaxf(chain[2 * r], chain[2 * r + 1]));
    const float max = fmaxf(rows.max[r], kShifts ? fmaf(tile_max, scale_log2, shift[r])
                                                 : __fmul_rn(tile_max, scale_log2));
    // Without a key so far: -inf - -inf would be NaN.
    rescale[r] = max == -infinity() ? 1.0f : exp2_approx(__fsub_rn(rows.max[r], max));
    rows.max[r] = max;
    rows.sum[r] = __fmul_rn(rows.sum[r], rescale[r]);
  }
}

// The weights of a tile, 2^(scale * score - base), packed, and, if kSums, this thread's sums of
// them. Returns whether any in the warp is 2 or more, or NaN: in both 16-bit types the exponent's
// highest bit says so. That takes no maximum, and no exponential waits for one. Of 16 exponentials
// kPolynomials are computed on the FMA units instead of the MUFU.
template <typename T, int kPolynomials, bool kSums, int kScores>
__device__ __forceinline__ bool weigh_scores(const float (&scores)[kScores], float scale_log2,
                                             const float (&base)[2], float (&sum)[2],
                                             unsigned (&weights)[kScores / 2]) {
  float chain[4] = {};
  unsigned bits = 0;
#pragma unroll
  for (int i = 0; i < kScores; i += 2) {
    float weight[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const float x = fmaf(scores[i + e], scale_log2, -base[i / 2 % 2]);
      weight[e] = (i + e) * kPolynomials % 16 < kPolynomials ? exp2_polynomial(x) : exp2_approx(x);
      if constexpr (kSums) chain[i % 4 + e] = __fadd_rn(chain[i % 4 + e], weight[e]);
    }
    weights[i / 2] = pack<T>(weight[0], weight[1]);
    bits |= weights[i / 2];
  }
  sum[0] = __fadd_rn(chain[0], chain[1]);
  sum[1] = __fadd_rn(chain[2], chain[3]);
  return __any_sync(0xffffffffu, (bits & 0x40004000u) != 0);
}

}  // namespace fms

#endif  // FMS_TILE_ONLINE_SOFTMAX_CUH_
