#ifndef FMS_CPU_INTEGERS_CUH_
#define FMS_CPU_INTEGERS_CUH_

// Integer functions: min, max, abs, bits, bytes, wide products, dot products.

#pragma clang system_header

#define FMS_CPU_MIN_MAX(Result, A, B)             \
  FMS_CPU_CONSTEXPR Result min(A left, B right) { \
    const Result a = left, b = right;             \
    return a < b ? a : b;                         \
  }                                               \
  FMS_CPU_CONSTEXPR Result max(A left, B right) { \
    const Result a = left, b = right;             \
    return a > b ? a : b;                         \
  }
// Of a signed and an unsigned argument, the signed one is converted.
#define FMS_CPU_MIN_MAX_KINDS(T)                      \
  FMS_CPU_MIN_MAX(T, T, T)                            \
  FMS_CPU_MIN_MAX(unsigned T, unsigned T, unsigned T) \
  FMS_CPU_MIN_MAX(unsigned T, T, unsigned T)          \
  FMS_CPU_MIN_MAX(unsigned T, unsigned T, T)
FMS_CPU_MIN_MAX_KINDS(int)
FMS_CPU_MIN_MAX_KINDS(long)
FMS_CPU_MIN_MAX_KINDS(long long)
#undef FMS_CPU_MIN_MAX_KINDS
#undef FMS_CPU_MIN_MAX
FMS_CPU_CONSTEXPR unsigned umin(unsigned a, unsigned b) { return min(a, b); }
FMS_CPU_CONSTEXPR unsigned umax(unsigned a, unsigned b) { return max(a, b); }
FMS_CPU_CONSTEXPR long long llmin(long long a, long long b) { return min(a, b); }
FMS_CPU_CONSTEXPR long long llmax(long long a, long long b) { return max(a, b); }
FMS_CPU_CONSTEXPR unsigned long long ullmin(unsigned long long a, unsigned long long b) {
  return min(a, b);
}
FMS_CPU_CONSTEXPR unsigned long long ullmax(unsigned long long a, unsigned long long b) {
  return max(a, b);
}

#define FMS_CPU_MIN_MAX_OF_THREE(T, name)                                                        \
  FMS_CPU_FN T __vimax3_##name(T a, T b, T c) { return max(max(a, b), c); }                      \
  FMS_CPU_FN T __vimin3_##name(T a, T b, T c) { return min(min(a, b), c); }                      \
  FMS_CPU_FN T __viaddmax_##name(T a, T b, T c) { return max(T(unsigned(a) + unsigned(b)), c); } \
  FMS_CPU_FN T __viaddmin_##name(T a, T b, T c) { return min(T(unsigned(a) + unsigned(b)), c); }
FMS_CPU_MIN_MAX_OF_THREE(int, s32)
FMS_CPU_MIN_MAX_OF_THREE(unsigned, u32)
#undef FMS_CPU_MIN_MAX_OF_THREE

#define FMS_CPU_ABS(name, T)                                           \
  FMS_CPU_CONSTEXPR T name(T x) {                                      \
    return x < 0 ? static_cast<T>(0 - static_cast<unsigned T>(x)) : x; \
  }
FMS_CPU_ABS(abs, int)
FMS_CPU_ABS(abs, long)
FMS_CPU_ABS(abs, long long)
FMS_CPU_ABS(labs, long)
FMS_CPU_ABS(llabs, long long)
#undef FMS_CPU_ABS

FMS_CPU_FN int __popc(unsigned x) { return __builtin_popcount(x); }
FMS_CPU_FN int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
FMS_CPU_FN int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
FMS_CPU_FN int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(fms_cpu_u64(x)); }
FMS_CPU_FN int __ffs(int x) { return __builtin_ffs(x); }
FMS_CPU_FN int __ffsll(long long x) { return __builtin_ffsll(x); }
FMS_CPU_FN unsigned __brev(unsigned x) { return __builtin_bitreverse32(x); }
FMS_CPU_FN unsigned long long __brevll(unsigned long long x) { return __builtin_bitreverse64(x); }

// Byte i of the result is the byte of y:x that digit i of the selector names; a digit of 8 or more
// stands for the sign of that byte, eight times.
FMS_CPU_FN unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const unsigned long long bytes = fms_cpu_u64(y) << 32 | x;
  unsigned result = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const unsigned digit = selector >> 4 * i;
    const unsigned byte = unsigned(bytes >> 8 * (digit & 7)) & 0xff;
    const unsigned sign = byte >> 7 ? 0xffu : 0u;
    result |= (digit & 8 ? sign : byte) << 8 * i;
  }
  return result;
}

FMS_CPU_FN int fms_cpu_low24(int x) { return int(unsigned(x) << 8) >> 8; }
FMS_CPU_FN int __mul24(int x, int y) {
  return int(unsigned(fms_cpu_low24(x)) * unsigned(fms_cpu_low24(y)));
}
FMS_CPU_FN unsigned __umul24(unsigned x, unsigned y) { return (x & 0xff'ffff) * (y & 0xff'ffff); }
FMS_CPU_FN int __mulhi(int x, int y) { return int(fms_cpu_s64(x) * y >> 32); }
FMS_CPU_FN unsigned __umulhi(unsigned x, unsigned y) { return unsigned(fms_cpu_u64(x) * y >> 32); }
FMS_CPU_FN long long __mul64hi(long long x, long long y) {
  return fms_cpu_s64((__int128)(x)*y >> 64);
}
FMS_CPU_FN unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return fms_cpu_u64((unsigned __int128)(x)*y >> 64);
}
FMS_CPU_FN unsigned __sad(int x, int y, unsigned z) {
  return (x > y ? unsigned(x) - unsigned(y) : unsigned(y) - unsigned(x)) + z;
}
FMS_CPU_FN unsigned __usad(unsigned x, unsigned y, unsigned z) {
  return (x > y ? x - y : y - x) + z;
}
FMS_CPU_FN int __hadd(int x, int y) { return int(fms_cpu_s64(x) + y >> 1); }
FMS_CPU_FN int __rhadd(int x, int y) { return int(fms_cpu_s64(x) + y + 1 >> 1); }
FMS_CPU_FN unsigned __uhadd(unsigned x, unsigned y) { return unsigned(fms_cpu_u64(x) + y >> 1); }
FMS_CPU_FN unsigned __urhadd(unsigned x, unsigned y) {
  return unsigned(fms_cpu_u64(x) + y + 1 >> 1);
}

// 32 bits of high:low, shifted. The c forms shift by at most 32, the others by `shift` mod 32.
FMS_CPU_FN unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned((fms_cpu_u64(high) << 32 | low) << (shift & 31) >> 32);
}
FMS_CPU_FN unsigned __funnelshift_lc(unsigned low, unsigned high, unsigned shift) {
  return shift >= 32 ? low : __funnelshift_l(low, high, shift);
}
FMS_CPU_FN unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned((fms_cpu_u64(high) << 32 | low) >> (shift & 31));
}
FMS_CPU_FN unsigned __funnelshift_rc(unsigned low, unsigned high, unsigned shift) {
  return shift >= 32 ? high : __funnelshift_r(low, high, shift);
}

// Products of the bytes of a and b, or of a's halves and two of b's bytes, added to c.
#define FMS_CPU_DOT(T, Byte, Half, Bytes, Halves)                                  \
  FMS_CPU_FN T __dp4a(T a, T b, T c) {                                             \
    unsigned sum = unsigned(c);                                                    \
    for (int i = 0; i < 32; i += 8)                                                \
      sum += unsigned(static_cast<Byte>(a >> i) * static_cast<Byte>(b >> i));      \
    return T(sum);                                                                 \
  }                                                                                \
  FMS_CPU_FN T __dp2a_lo(T a, T b, T c) {                                          \
    return T(unsigned(c) + unsigned(static_cast<Half>(a) * static_cast<Byte>(b)) + \
             unsigned(static_cast<Half>(a >> 16) * static_cast<Byte>(b >> 8)));    \
  }                                                                                \
  FMS_CPU_FN T __dp2a_hi(T a, T b, T c) { return __dp2a_lo(a, b >> 16, c); }       \
  FMS_CPU_FN T __dp4a(Bytes a, Bytes b, T c) {                                     \
    return __dp4a(__builtin_bit_cast(T, a), __builtin_bit_cast(T, b), c);          \
  }                                                                                \
  FMS_CPU_FN T __dp2a_lo(Halves a, Bytes b, T c) {                                 \
    return __dp2a_lo(__builtin_bit_cast(T, a), __builtin_bit_cast(T, b), c);       \
  }                                                                                \
  FMS_CPU_FN T __dp2a_hi(Halves a, Bytes b, T c) {                                 \
    return __dp2a_hi(__builtin_bit_cast(T, a), __builtin_bit_cast(T, b), c);       \
  }
FMS_CPU_DOT(int, signed char, short, char4, short2)
FMS_CPU_DOT(unsigned, unsigned char, unsigned short, uchar4, ushort2)
#undef FMS_CPU_DOT

#endif  // FMS_CPU_INTEGERS_CUH_
