// float16: each operation rounds once; conversions, comparisons, and pairs.

#include <cuda_fp16.h>

extern "C" __global__ void half_arithmetic(const __half* a, const __half* b, __half* out,
                                           float* floats, __half2* pairs, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const __half x = a[i], y = b[i];
  out[8 * i] = __hadd(x, y);
  out[8 * i + 1] = x - y;
  out[8 * i + 2] = x * y;
  out[8 * i + 3] = __hdiv(x, y);
  out[8 * i + 4] = __hfma(x, y, x);
  out[8 * i + 5] = __float2half(__half2float(x) * 0.333f);
  out[8 * i + 6] = __hlt(x, y) ? -x : x;
  out[8 * i + 7] = __half(static_cast<float>(x) + static_cast<float>(y));
  floats[i] = __half2float(x);
  const __half2 pair = __halves2half2(x, y);
  pairs[i] = __hadd2(pair, __hmul2(__float2half2_rn(2.0f), pair));
}
