#ifndef FMS_CPU_VECTOR_TYPES_CUH_
#define FMS_CPU_VECTOR_TYPES_CUH_

// float4 and its kin: aligned to their size up to 16 bytes, but for those of three elements.

#pragma clang system_header

#define FMS_CPU_VECTOR(T, name, align2, align4)                                 \
  struct name##1 {                                                              \
    T x;                                                                        \
  };                                                                            \
  struct __align__(align2) name##2 {                                            \
    T x, y;                                                                     \
  };                                                                            \
  struct name##3 {                                                              \
    T x, y, z;                                                                  \
  };                                                                            \
  struct __align__(align4) name##4 {                                            \
    T x, y, z, w;                                                               \
  };                                                                            \
  FMS_CPU_CONSTEXPR name##1 make_##name##1(T x) { return {x}; }                 \
  FMS_CPU_CONSTEXPR name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  FMS_CPU_CONSTEXPR name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  FMS_CPU_CONSTEXPR name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
FMS_CPU_VECTOR(signed char, char, 2, 4)
FMS_CPU_VECTOR(unsigned char, uchar, 2, 4)
FMS_CPU_VECTOR(short, short, 4, 8)
FMS_CPU_VECTOR(unsigned short, ushort, 4, 8)
FMS_CPU_VECTOR(int, int, 8, 16)
FMS_CPU_VECTOR(unsigned, uint, 8, 16)
FMS_CPU_VECTOR(long, long, 16, 16)
FMS_CPU_VECTOR(unsigned long, ulong, 16, 16)
FMS_CPU_VECTOR(long long, longlong, 16, 16)
FMS_CPU_VECTOR(unsigned long long, ulonglong, 16, 16)
FMS_CPU_VECTOR(float, float, 8, 16)
FMS_CPU_VECTOR(double, double, 16, 16)
#undef FMS_CPU_VECTOR

// The names that say how four 8-byte elements are aligned.
#define FMS_CPU_VECTOR_4(T, name)                                                               \
  using name##4_16a = name##4;                                                                  \
  struct __align__(32) name##4_32a {                                                            \
    T x, y, z, w;                                                                               \
  };                                                                                            \
  FMS_CPU_CONSTEXPR name##4_16a make_##name##4_16a(T x, T y, T z, T w) { return {x, y, z, w}; } \
  FMS_CPU_CONSTEXPR name##4_32a make_##name##4_32a(T x, T y, T z, T w) { return {x, y, z, w}; }
FMS_CPU_VECTOR_4(long, long)
FMS_CPU_VECTOR_4(unsigned long, ulong)
FMS_CPU_VECTOR_4(long long, longlong)
FMS_CPU_VECTOR_4(unsigned long long, ulonglong)
FMS_CPU_VECTOR_4(double, double)
#undef FMS_CPU_VECTOR_4

struct dim3 {
  unsigned x, y, z;
  __host__ __device__ constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1)
      : x(x), y(y), z(z) {}
  __host__ __device__ constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  // threadIdx and its kin.
  template <typename Index, typename = typename Index::fms_cpu_index>
  __host__ __device__ dim3(Index v) : x(v.x), y(v.y), z(v.z) {}
  __host__ __device__ constexpr operator uint3() const { return {x, y, z}; }
};

#endif  // FMS_CPU_VECTOR_TYPES_CUH_
