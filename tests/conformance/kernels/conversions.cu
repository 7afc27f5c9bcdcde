// Conversions between floats and integers in each rounding, and reinterpreted bits.

extern "C" __global__ void conversions(const float* x, int* i, long long* l, float* f, int n) {
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= n) return;
  const float value = x[k];
  int* out = i + 8 * k;
  out[0] = static_cast<int>(value);
  out[1] = __float2int_rn(value);
  out[2] = __float2int_rz(value);
  out[3] = __float2int_rd(value);
  out[4] = __float2int_ru(value);
  out[5] = __float_as_int(value);
  out[6] = static_cast<int>(__float2uint_rn(fabsf(value)));
  out[7] = static_cast<int>(rintf(value)) + static_cast<int>(roundf(value)) +
           static_cast<int>(truncf(value)) + static_cast<int>(floorf(value)) +
           static_cast<int>(ceilf(value));
  l[2 * k] = __double2ll_rn(static_cast<double>(value) * 1048576.0);
  l[2 * k + 1] = __double_as_longlong(static_cast<double>(value));
  f[3 * k] = __int2float_rn(__float_as_int(value));
  f[3 * k + 1] = static_cast<float>(static_cast<unsigned>(out[5]));
  f[3 * k + 2] = __double2float_rn(static_cast<double>(value) / 3.0);
}
