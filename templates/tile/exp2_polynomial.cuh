#ifndef FMS_TILE_EXP2_POLYNOMIAL_CUH_
#define FMS_TILE_EXP2_POLYNOMIAL_CUH_

namespace fms {

// 2^x on the FMA units, of which an SM has eight for each MUFU lane: to 1.1e-4, which rounding to
// 16 bits hides. 0 for x <= -127, -inf too, and at least 2^127 from 127 on; NaN gives 0.
__device__ inline float exp2_polynomial(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
  const float clamped = fminf(fmaxf(x, -127.0f), 127.0f);
  const float shifted = __fadd_rn(clamped, kRound);
  const float part = __fsub_rn(clamped, __fsub_rn(shifted, kRound));  // -0.5 to 0.5
  // Of the least relative error with p(0) = 1, which makes 2^-127 come out as 0.
  float p = fmaf(0.0550088510f, part, 0.2422109544f);
  p = fmaf(p, part, 0.6932829618f);
  p = fmaf(p, part, 1.0f);
  return __int_as_float(__float_as_int(p) + (__float_as_int(shifted) << 23));
}

}  // namespace fms

#endif  // FMS_TILE_EXP2_POLYNOMIAL_CUH_
