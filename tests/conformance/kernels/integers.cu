// Arithmetic of integers at its edges: wrapping, division, shifts, narrow types and bit counts.

extern "C" __global__ void integers(const unsigned* a, const unsigned* b, unsigned* u, long long* l,
                                    int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned x = a[i], y = b[i];
  const int sx = static_cast<int>(x), sy = static_cast<int>(y);
  const long long wide = (static_cast<long long>(sx) << 32) ^ y;
  unsigned* out = u + 22 * i;
  out[0] = x + y;
  out[1] = x - y;
  out[2] = x * y;
  out[3] = y == 0 ? 0 : x / y;
  out[4] = y == 0 ? 0 : x % y;
  out[5] = sy == 0 || sy == -1 ? 0 : static_cast<unsigned>(sx / sy);
  out[6] = sy == 0 || sy == -1 ? 0 : static_cast<unsigned>(sx % sy);
  out[7] = x << (y & 31);
  out[8] = x >> (y & 31);
  out[9] = static_cast<unsigned>(sx >> (y & 31));
  out[10] = __popc(x);
  out[11] = __clz(sx);
  out[12] = __ffs(sx);
  out[13] = __brev(x);
  out[14] = __umulhi(x, y);
  out[15] = static_cast<unsigned>(__mulhi(sx, sy));
  out[16] = __byte_perm(x, y, 0x6240);
  out[17] = static_cast<unsigned char>(x * 3);
  out[18] = static_cast<unsigned>(static_cast<int>(static_cast<signed char>(x)));
  out[19] = static_cast<unsigned>(static_cast<short>(x) * static_cast<short>(y));
  out[20] = min(x, y) ^ static_cast<unsigned>(max(sx, sy));
  out[21] = __funnelshift_l(x, y, x & 31) ^ static_cast<unsigned>(abs(sx | 1));
  long long* out_l = l + 8 * i;
  out_l[0] = wide * 1000003;
  out_l[1] = wide / 1000003;
  out_l[2] = wide % 1000003;
  out_l[3] = static_cast<long long>(static_cast<unsigned long long>(wide) / 7u);
  out_l[4] = __popcll(wide) + 100 * __clzll(wide) + 10000 * __ffsll(wide);
  out_l[5] = static_cast<long long>(__brevll(wide));
  out_l[6] = static_cast<long long>(__umul64hi(wide, 0x9e3779b97f4a7c15ull));
  out_l[7] = wide >> (y & 63);
}
