#ifndef FMS_TILE_SOFTCAP_CUH_
#define FMS_TILE_SOFTCAP_CUH_

// tanh of scores that are capped. tanh.approx is right to 2^-11 of the number, which for weights
// that are rounded to bfloat16 is little, and not for float16. Others are right to about 2^-20 of
// it where all of a warp are small, by a polynomial that leaves the MUFU to the exponentials, and
// else to 2^-22.

#include "ptx/exp2.cuh"
#include "ptx/rcp.cuh"

namespace fms {

// tanh(x / 4) for |x| < 2.
__device__ inline float tanh_of_small_quarter(float x) {
  // Minimax of tanh(x / 4) / x in x^2: 5.5e-7 of it.
  const float square = __fmul_rn(x, x);
  float p = fmaf(-0x1.6bbe22p-19f, square, 0x1.0e2322p-13f);
  p = fmaf(p, square, -0x1.5542f2p-8f);
  p = fmaf(p, square, 0x1.ffffeep-3f);
  return __fmul_rn(p, x);
}

// tanh(x / 4).
__device__ inline float tanh_of_quarter(float x) {
  constexpr float kHalfLog2E = 0.721347520444481704f;
  const float power = exp2_approx(__fmul_rn(x, kHalfLog2E));  // e^(2 x / 4)
  return fmaf(-2.0f, rcp_approx(__fadd_rn(power, 1.0f)), 1.0f);
}

// tanh.approx.f32.
__device__ inline float tanh_approx(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Multiplies all of x, a warp's; whether any is then 2 or more in size, or NaN.
template <int kCount>
__device__ __forceinline__ bool scale_all(float (&x)[kCount], float scale) {
  unsigned bits = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    x[i] = __fmul_rn(x[i], scale);
    bits |= __float_as_uint(x[i]);  // the exponent's highest bit says so
  }
  return __any_sync(0xffffffffu, (bits & 0x40000000u) != 0);
}

}  // namespace fms

#endif  // FMS_TILE_SOFTCAP_CUH_
