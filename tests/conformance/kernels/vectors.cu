// Loads and stores of vector types, and their members.

extern "C" __global__ void vectors(const float4* x, const uchar4* bytes, int2* pairs, double2* sums,
                                   ushort3* triples, longlong2* wide, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float4 v = x[i];
  const uchar4 b = bytes[i];
  pairs[i] = make_int2(b.x + b.y, b.z - b.w);
  double2 sum = make_double2(v.x, v.w);
  sum.x += v.y;
  sum.y += v.z;
  sums[i] = sum;
  triples[i] = make_ushort3(b.x, b.y * b.z, 65535 - b.w);
  wide[i] = {static_cast<long long>(v.x), -static_cast<long long>(b.y)};
}
