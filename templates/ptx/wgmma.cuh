#ifndef FMS_PTX_WGMMA_CUH_
#define FMS_PTX_WGMMA_CUH_

// wgmma: a warpgroup, four warps from a multiple of four on, multiplies 64 x 16 by 16 x N elements
// of 16 bits and adds to 64 x N floats in its registers, while its threads go on. sm_90a only.
//
// Of the 64 x N result, lane l of warp w has rows 16 w + l / 4 and 8 more, and of each 8 columns c
// the two at c + 2 (l % 4): d[c/2], d[c/2 + 1] of the upper row, d[c/2 + 2], d[c/2 + 3] of the
// lower. A from registers is a[4] of packed pairs in the order of 16 columns of such a result, so
// that a result, rounded and packed, is the A of a next product as it stands.
//
// Order: wgmma_fence() after registers of a product were written by other instructions (or products
// of another shape); the products; wgmma_commit() closes a group; wgmma_wait<n>() returns when at
// most n groups are in flight. Until then nothing may touch their registers: keep_registers() after
// a wait, and before a fence, holds the compiler to that.
//
// ptxas serialises products, and says so (C7510 and others), if accumulators meet a branch, a call
// or another instruction while in flight.

#include "fms/parameter.cuh"  // outside of a rendered kernel: includes the headers of the types
#include "ptx/wgmma_operands.cuh"

namespace fms {

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int kPending>
__device__ inline void wgmma_wait() {
  static_assert(kPending >= 0 && kPending <= 7, "the number of groups left in flight");
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// ptxas moves a wait up to the products, ahead of what was to run beside them, but not across an
// instruction with a side effect. This is one, for ahead of the wait: it depends on `condition`,
// which comes of what is to run first, and unless that holds it does nothing; else it counts in a
// profiler, or, kByStore, writes to `scratch`, a word of this warp in shared memory. (A branch
// would hold the wait as well, but if both its ways had a wait of their own, warps of a warpgroup
// could meet at different ones, which they may not.) Which is better is ptxas's whim: up to 5 % of
// a kernel. Afterwards the compiler no longer knows what `condition` was made of, and can't make
// two ways of it.
template <bool kByStore>
__device__ inline void hold_wait_below(bool& condition, unsigned scratch) {
  unsigned value = condition;
  if constexpr (kByStore) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.u32 p, %0, 0;\n"
        "@p st.volatile.shared::cta.u32 [%1], %0;\n"
        "}\n"
        : "+r"(value)
        : "r"(scratch)
        : "memory");
  } else {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.u32 p, %0, 0;\n"
        "@p pmevent 1;\n"
        "}\n"
        : "+r"(value)::"memory");
  }
  condition = value != 0;
}

// No instruction: a point that reads and writes of these registers don't cross.
template <int kCount>
__device__ inline void keep_registers(unsigned (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[i])::"memory");
}

// Matrix descriptor of a tile in shared memory in the 128-byte swizzle: rows of 64 elements, 128
// bytes each, eight of them an atom of 1024 bytes, which starts at a multiple of 1024. Offsets are
// in bytes; adding bytes / 16 to the descriptor moves its start.
//
// A tile whose rows run along the product's inner dimension (Q, K): `atom_stride` leads to the next
// eight rows; 16 elements further inside a row are 32 bytes. A tile whose rows run along N (V, with
// kTransposeB): `atom_stride` leads to the next eight of the inner dimension, `panel_stride` to the
// next 64 columns.
__device__ inline unsigned long long swizzled_tile(unsigned shared, unsigned atom_stride,
                                                   unsigned panel_stride) {
  constexpr unsigned long long kSwizzle128 = 1ull << 62;
  return kSwizzle128 | static_cast<unsigned long long>(atom_stride / 16) << 32 |
         static_cast<unsigned long long>(panel_stride / 16) << 16 | (shared & 0x3ffff) / 16;
}

// Of a tile without swizzle: blocks of eight rows of eight elements, 128 bytes in a row.
// `row_stride` leads to the next eight rows, `column_stride` to the next eight elements of the
// inner dimension; either may be 0.
__device__ inline unsigned long long unswizzled_tile(unsigned shared, unsigned row_stride,
                                                     unsigned column_stride) {
  return static_cast<unsigned long long>(row_stride / 16) << 32 |
         static_cast<unsigned long long>(column_stride / 16) << 16 | (shared & 0x3ffff) / 16;
}

// Wgmma<T, N>, of T __half or __nv_bfloat16:
//
//   multiply_ss<kSteps, kAccumulate, kTransposeB, kStepA, kStepB>(d, a, b)
//   multiply_rs<kSteps, kAccumulate, kTransposeB, kStepB>(d, a, b)
//
// d = a b, or d += a b, over kSteps (1 or 4) times 16 of the inner dimension; for each, descriptors
// move on by kStepA and kStepB (in 16 bytes) and `a` from registers by four. One asm statement for
// all: every operand of every statement costs compile time.
//
//   wait<kPending>(d): wgmma_wait, after which d may be read.
//
// For every N, or those for which FMS_WGMMA_HAS(N) holds, if a kernel defines that ahead: reading
// all of them takes as long as reading all else of attention_forward_sm90.
#ifndef FMS_WGMMA_HAS
#define FMS_WGMMA_HAS(n) 1
#endif
template <typename T, int kN>
struct Wgmma;

// o0 to o20 are the numbers of the operands after d. Results are read even where they don't count
// (scale-d is then false): "+f".
#define FMS_WGMMA_SS(ptx_type, n, a, b, predicate, transpose)                        \
  "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." ptx_type " {" FMS_WGMMA_TEXT_##n \
      "}, " a ", " b ", " predicate ", 1, 1, 0, " transpose ";\n"
#define FMS_WGMMA_RS(ptx_type, n, a0, a1, a2, a3, b, predicate, transpose)           \
  "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." ptx_type " {" FMS_WGMMA_TEXT_##n \
      "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, " b ", " predicate ", 1, 1, " transpose ";\n"
#define FMS_WGMMA_FOUR_OF(a, i) "r"(a[i]), "r"(a[i + 1]), "r"(a[i + 2]), "r"(a[i + 3])
#define FMS_WGMMA(T, ptx_type, n, o0, o1, o2, o3, o4, o5, o6, o7, o8, o9, o10, o11, o12, o13, o14, \
                  o15, o16, o17, o18, o19)                                                         \
  template <>                                                                                      \
  struct Wgmma<T, n> {                                                                             \
    template <int kSteps, bool kAccumulate, bool kTransposeB, int kStepA, int kStepB>              \
    static __device__ __forceinline__ void multiply_ss(float (&d)[n / 2], unsigned long long a,    \
                                                       unsigned long long b) {                     \
      static_assert(kSteps == 1 || kSteps == 4, "what there is text for");                         \
      if constexpr (kSteps == 1) {                                                                 \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #o2                                      \
                     ", 0;\n" FMS_WGMMA_SS(ptx_type, n, "%" #o0, "%" #o1, "p", "%" #o3) "}\n"      \
                     : FMS_WGMMA_LIST_##n                                                          \
                     : "l"(a), "l"(b), "n"(int(kAccumulate)), "n"(int(kTransposeB)));              \
      } else {                                                                                     \
        asm volatile(                                                                              \
            "{\n.reg .pred p, q;\n.reg .b64 a, b;\n"                                               \
            "setp.ne.b32 p, %" #o2 ", 0;\nsetp.ne.b32 q, 1, 0;\n" FMS_WGMMA_SS(                    \
                ptx_type, n, "%" #o0, "%" #o1, "p",                                                \
                "%" #o3) "add.s64 a, %" #o0 ", %" #o4 ";\nadd.s64 b, %" #o1 ", %" #o5              \
                         ";\n" FMS_WGMMA_SS(                                                       \
                             ptx_type, n, "a", "b", "q",                                           \
                             "%" #o3) "add.s64 a, a, %" #o4 ";\nadd.s64 b, b, %" #o5               \
                                      ";\n" FMS_WGMMA_SS(                                          \
                                          ptx_type, n, "a", "b", "q",                              \
                                          "%" #o3) "add.s64 a, a, %" #o4 ";\nadd.s64 b, b, %" #o5  \
                                                   ";\n" FMS_WGMMA_SS(ptx_type, n, "a", "b", "q",  \
                                                                      "%" #o3) "}\n"               \
            : FMS_WGMMA_LIST_##n                                                                   \
            : "l"(a), "l"(b), "n"(int(kAccumulate)), "n"(int(kTransposeB)), "n"(kStepA),           \
              "n"(kStepB));                                                                        \
      }                                                                                            \
    }                                                                                              \
    template <int kSteps, bool kAccumulate, bool kTransposeB, int kStepB>                          \
    static __device__ __forceinline__ void multiply_rs(float (&d)[n / 2], const unsigned* a,       \
                                                       unsigned long long b) {                     \
      static_assert(kSteps == 1 || kSteps == 4, "what there is text for");                         \
      if constexpr (kSteps == 1) {                                                                 \
        asm volatile(                                                                              \
            "{\n.reg .pred p;\nsetp.ne.b32 p, %" #o5                                               \
            ", 0;\n" FMS_WGMMA_RS(ptx_type, n, o0, o1, o2, o3, "%" #o4, "p", "%" #o6) "}\n"        \
            : FMS_WGMMA_LIST_##n                                                                   \
            : FMS_WGMMA_FOUR_OF(a, 0), "l"(b), "n"(int(kAccumulate)), "n"(int(kTransposeB)));      \
      } else {                                                                                     \
        asm volatile(                                                                              \
            "{\n.reg .pred p, q;\n.reg .b64 b;\n"                                                  \
            "setp.ne.b32 p, %" #o17 ", 0;\nsetp.ne.b32 q, 1, 0;\n" FMS_WGMMA_RS(                   \
                ptx_type, n, o0, o1, o2, o3, "%" #o16, "p",                                        \
                "%" #o18) "add.s64 b, %" #o16 ", %" #o19                                           \
                          ";\n" FMS_WGMMA_RS(                                                      \
                              ptx_type, n, o4, o5, o6, o7, "b", "q",                               \
                              "%" #o18) "add.s64 b, b, %" #o19                                     \
                                        ";\n" FMS_WGMMA_RS(                                        \
                                            ptx_type, n, o8, o9, o10, o11, "b", "q",               \
                                            "%" #o18) "add.s64 b, b, %" #o19                       \
                                                      ";\n" FMS_WGMMA_RS(ptx_type, n, o12, o13,    \
                                                                         o14, o15, "b", "q",       \
                                                                         "%" #o18) "}\n"           \
            : FMS_WGMMA_LIST_##n                                                                   \
            : FMS_WGMMA_FOUR_OF(a, 0), FMS_WGMMA_FOUR_OF(a, 4), FMS_WGMMA_FOUR_OF(a, 8),           \
              FMS_WGMMA_FOUR_OF(a, 12), "l"(b), "n"(int(kAccumulate)), "n"(int(kTransposeB)),      \
              "n"(kStepB));                                                                        \
      }                                                                                            \
    }                                                                                              \
    template <int kPending>                                                                        \
    static __device__ __forceinline__ void wait(float (&d)[n / 2]) {                               \
      asm volatile("wgmma.wait_group.sync.aligned %" #o0 ";"                                       \
                   : FMS_WGMMA_LIST_##n                                                            \
                   : "n"(kPending)                                                                 \
                   : "memory");                                                                    \
    }                                                                                              \
  };
// Of both types, as far as their headers are there. The numbers follow N / 2, that of d's last
// operand and one.
#if defined(__CUDA_FP16_TYPES_EXIST__)
#define FMS_WGMMA_HALF(...) FMS_WGMMA(__half, "f16.f16", __VA_ARGS__)
#else
#define FMS_WGMMA_HALF(...)
#endif
#if defined(__CUDA_BF16_TYPES_EXIST__)
#define FMS_WGMMA_BFLOAT16(...) FMS_WGMMA(__nv_bfloat16, "bf16.bf16", __VA_ARGS__)
#else
#define FMS_WGMMA_BFLOAT16(...)
#endif
#define FMS_WGMMA_BOTH(...)   \
  FMS_WGMMA_HALF(__VA_ARGS__) \
  FMS_WGMMA_BFLOAT16(__VA_ARGS__)

#if FMS_WGMMA_HAS(8)
FMS_WGMMA_BOTH(8, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
#endif
#if FMS_WGMMA_HAS(16)
FMS_WGMMA_BOTH(16, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27)
#endif
#if FMS_WGMMA_HAS(24)
FMS_WGMMA_BOTH(24, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)
#endif
#if FMS_WGMMA_HAS(32)
FMS_WGMMA_BOTH(32, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35)
#endif
#if FMS_WGMMA_HAS(40)
FMS_WGMMA_BOTH(40, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39)
#endif
#if FMS_WGMMA_HAS(48)
FMS_WGMMA_BOTH(48, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43)
#endif
#if FMS_WGMMA_HAS(56)
FMS_WGMMA_BOTH(56, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47)
#endif
#if FMS_WGMMA_HAS(64)
FMS_WGMMA_BOTH(64, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51)
#endif
#if FMS_WGMMA_HAS(72)
FMS_WGMMA_BOTH(72, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55)
#endif
#if FMS_WGMMA_HAS(80)
FMS_WGMMA_BOTH(80, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59)
#endif
#if FMS_WGMMA_HAS(88)
FMS_WGMMA_BOTH(88, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63)
#endif
#if FMS_WGMMA_HAS(96)
FMS_WGMMA_BOTH(96, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67)
#endif
#if FMS_WGMMA_HAS(104)
FMS_WGMMA_BOTH(104, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71)
#endif
#if FMS_WGMMA_HAS(112)
FMS_WGMMA_BOTH(112, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75)
#endif
#if FMS_WGMMA_HAS(120)
FMS_WGMMA_BOTH(120, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79)
#endif
#if FMS_WGMMA_HAS(128)
FMS_WGMMA_BOTH(128, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83)
#endif
#if FMS_WGMMA_HAS(136)
FMS_WGMMA_BOTH(136, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87)
#endif
#if FMS_WGMMA_HAS(144)
FMS_WGMMA_BOTH(144, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91)
#endif
#if FMS_WGMMA_HAS(152)
FMS_WGMMA_BOTH(152, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95)
#endif
#if FMS_WGMMA_HAS(160)
FMS_WGMMA_BOTH(160, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99)
#endif
#if FMS_WGMMA_HAS(168)
FMS_WGMMA_BOTH(168, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102,
               103)
#endif
#if FMS_WGMMA_HAS(176)
FMS_WGMMA_BOTH(176, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105,
               106, 107)
#endif
#if FMS_WGMMA_HAS(184)
FMS_WGMMA_BOTH(184, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108,
               109, 110, 111)
#endif
#if FMS_WGMMA_HAS(192)
FMS_WGMMA_BOTH(192, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
               113, 114, 115)
#endif
#if FMS_WGMMA_HAS(200)
FMS_WGMMA_BOTH(200, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115,
               116, 117, 118, 119)
#endif
#if FMS_WGMMA_HAS(208)
FMS_WGMMA_BOTH(208, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119,
               120, 121, 122, 123)
#endif
#if FMS_WGMMA_HAS(216)
FMS_WGMMA_BOTH(216, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123,
               124, 125, 126, 127)
#endif
#if FMS_WGMMA_HAS(224)
FMS_WGMMA_BOTH(224, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
               128, 129, 130, 131)
#endif
#if FMS_WGMMA_HAS(232)
FMS_WGMMA_BOTH(232, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131,
               132, 133, 134, 135)
#endif
#if FMS_WGMMA_HAS(240)
FMS_WGMMA_BOTH(240, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135,
               136, 137, 138, 139)
#endif
#if FMS_WGMMA_HAS(248)
FMS_WGMMA_BOTH(248, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139,
               140, 141, 142, 143)
#endif
#if FMS_WGMMA_HAS(256)
FMS_WGMMA_BOTH(256, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143,
               144, 145, 146, 147)
#endif

}  // namespace fms

#endif  // FMS_PTX_WGMMA_CUH_
