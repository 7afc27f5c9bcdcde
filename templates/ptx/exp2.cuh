#ifndef FMS_PTX_EXP2_CUH_
#define FMS_PTX_EXP2_CUH_

namespace fms {

// ex2.approx.ftz.f32: 2^x to about 2 ulp; 2^-inf is 0 and subnormal results are 0. The form without
// .ftz, which exp2f() compiles to, scales its operand first and takes four more instructions.
__device__ inline float exp2_approx(float x) {
#ifdef FMS_TARGET_CPU
  return fms_cpu_exp2(x);  // of the CPU target's prelude: the same to a user
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

}  // namespace fms

#endif  // FMS_PTX_EXP2_CUH_
