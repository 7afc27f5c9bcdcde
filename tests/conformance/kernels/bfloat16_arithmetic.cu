// bfloat16: conversions to and from float, and sums that are rounded once.

#include <cuda_bf16.h>

extern "C" __global__ void bfloat16_arithmetic(const __nv_bfloat16* a, const __nv_bfloat16* b,
                                               __nv_bfloat16* out, float* floats, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const __nv_bfloat16 x = a[i], y = b[i];
  out[4 * i] = __float2bfloat16(__bfloat162float(x) + __bfloat162float(y));
  out[4 * i + 1] = __float2bfloat16(static_cast<float>(x) * 0.1f);
  out[4 * i + 2] = __nv_bfloat16(static_cast<float>(x) * static_cast<float>(y));
  out[4 * i + 3] = __bfloat162float(x) < __bfloat162float(y) ? x : y;
  const __nv_bfloat162 pair = __floats2bfloat162_rn(static_cast<float>(x), static_cast<float>(y));
  floats[2 * i] = __bfloat162float(pair.x);
  floats[2 * i + 1] = __bfloat162float(pair.y);
}
