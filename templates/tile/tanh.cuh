#ifndef FMS_TILE_TANH_CUH_
#define FMS_TILE_TANH_CUH_

#include "ptx/exp2.cuh"

namespace fms {

// tanh to 6 * 2^-24, relatively, and the same bits wherever it is called: unlike tanhf() it leaves
// nothing to contract. (tanh.approx.f32 is right to 2^-11, which capped scores would show.)
__device__ inline float tanh_accurate(float x) {
  const float size = fabsf(x);
  if (size < 0.55f) {
    // Minimax of (tanh(x) / x - 1) / x^2, in x^2: 0.02 * 2^-24 of tanh(x) before rounding.
    const float square = __fmul_rn(x, x);
    float p = fmaf(-0x1.9b302ap-8f, square, 0x1.593d02p-6f);
    p = fmaf(p, square, -0x1.b9287ap-5f);
    p = fmaf(p, square, 0x1.110d26p-3f);
    p = fmaf(p, square, -0x1.55554ap-2f);
    return fmaf(__fmul_rn(p, square), x, x);
  }
  constexpr float kTwoLog2E = 2.88539008177792681f;
  const float power = exp2_approx(__fmul_rn(size, kTwoLog2E));  // e^(2 |x|), or infinity
  return copysignf(fmaf(-2.0f, __frcp_rn(__fadd_rn(power, 1.0f)), 1.0f), x);
}

// tanh to 2^-22, absolutely: less work, and good enough for scores of which the exponentials are
// rounded to 16 bits.
__device__ inline float tanh_fast(float x) {
  constexpr float kTwoLog2E = 2.88539008177792681f;
  const float power = exp2_approx(__fmul_rn(x, kTwoLog2E));  // 0 and infinity come out right too
  return fmaf(-2.0f, __fdividef(1.0f, __fadd_rn(power, 1.0f)), 1.0f);
}

}  // namespace fms

#endif  // FMS_TILE_TANH_CUH_
