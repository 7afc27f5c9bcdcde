#ifndef FMS_CPU_KEYWORDS_CUH_
#define FMS_CPU_KEYWORDS_CUH_

// The words and macros of CUDA C++, and the few types NVRTC has without a header.

#pragma clang system_header

// What a kernel can ask about its compiler. __CUDA_ARCH__ is that of the oldest GPU served: code
// that asks for more than 750 is about to use instructions that only GPUs have.
#define FMS_TARGET_CPU 1
#define __CUDA_ARCH__ 750
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define __CUDACC_VER_BUILD__ 0
#define CUDART_VERSION 13000

#define __host__ __attribute__((host))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
// The pass finds a kernel by its name; clang's attribute for kernels would emit launch stubs.
#define __global__ __attribute__((device))
#define __managed__ __attribute__((device))
#define __grid_constant__

#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __maxnreg__(...)
#define __cluster_dims__(...)
#define __block_size__(...)

// clang has this word itself, but only as long as nobody attaches it to an attribute list.
#define __noinline__ __attribute__((noinline))
#define __forceinline__ __inline__ __attribute__((always_inline))
#define __inline_hint__ __inline__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __nv_pure__ __attribute__((pure))
#define __cudart_builtin__
#define __device_builtin__
#define __CUDA_ALIGN__(n) __align__(n)

// All functions of the prelude. `host` too: constant initialisers and host functions in the same
// source, which are parsed and then dropped, may call them. `nodebug`: what is inlined has the
// line of the user's call.
#define FMS_CPU_MEMBER __host__ __device__ __attribute__((always_inline, nodebug FMS_CPU_UNCHECKED))
#define FMS_CPU_FN static __inline__ FMS_CPU_MEMBER
#if __has_feature(undefined_behavior_sanitizer)
// What looks undefined here is on purpose, such as a conversion whose result isn't used.
#define FMS_CPU_UNCHECKED , no_sanitize("undefined")
#else
#define FMS_CPU_UNCHECKED
#endif
#define FMS_CPU_CONSTEXPR FMS_CPU_FN constexpr
// What the loader or the pass provides.
#define FMS_CPU_EXTERN extern "C" __host__ __device__ __attribute__((nothrow))

// No uint32_t and the like: NVRTC has none, so that kernels define them, and not all alike.
using size_t = decltype(sizeof(0));
using ptrdiff_t = __PTRDIFF_TYPE__;
using clock_t = long;
using va_list = __builtin_va_list;
using fms_cpu_s64 = long long;
using fms_cpu_u64 = unsigned long long;

// What a braced list in a loop or an argument becomes; clang knows it by its name and members.
namespace std {
template <typename T>
class initializer_list {
  const T* data_ = nullptr;
  size_t size_ = 0;

 public:
  __host__ __device__ constexpr const T* begin() const { return data_; }
  __host__ __device__ constexpr const T* end() const { return data_ + size_; }
  __host__ __device__ constexpr size_t size() const { return size_; }
};
}  // namespace std

// NVRTC has these too.
__host__ __device__ inline void* operator new(size_t, void* place) noexcept { return place; }
__host__ __device__ inline void* operator new[](size_t, void* place) noexcept { return place; }

#ifndef NULL
#define NULL __null
#endif

#endif  // FMS_CPU_KEYWORDS_CUH_
