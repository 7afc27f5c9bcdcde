#ifndef FMS_PTX_RCP_CUH_
#define FMS_PTX_RCP_CUH_

namespace fms {

// rcp.approx.ftz.f32: 1 / x to 1 ulp; of infinity 0. Division by it would take more instructions
// for operands near the ends of the range.
__device__ inline float rcp_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace fms

#endif  // FMS_PTX_RCP_CUH_
