#ifndef FMS_PARAMETER_CUH_
#define FMS_PARAMETER_CUH_

// How a template declares what it is specialised by: once, in its own file, as C++.
//
// FlashMoE-Science reads these declarations as text (compiler/README.md has the grammar), defines
// each constant itself ahead of the template, and defines FMS_SPECIALIZED, so that the macros then
// expand to nothing. Anywhere else (clangd, nvcc, a review) they declare the defaults, and the
// template is plain CUDA C++.
//
//   FMS_KERNEL(saxpy, "y = a * x + y");                          the extern "C" entry
//   FMS_INT(kBlock, 256, "threads of a block", range(32, 1024), divisible(32));
//   FMS_BOOL(kCausal, false, "query i sees keys up to i");
//   FMS_FLOAT(kSoftcap, 0.0, "scores are capped at this");
//   FMS_TYPE(T, float32, "element type", choices(float32, float16, bfloat16));
//   FMS_ENUM(Mask, kMask, kFull, "which keys are seen", choices(kFull, kCausal));
//   FMS_SIZE(kN, "elements", range(0, 2147483647));              exact or dynamic; see fms::Size
//   FMS_ALLOW(spills);
//
// #if sees no constants. In a rendered kernel FMS_VALUE_ and the name of an integer or a boolean,
// where any file of the template has that word, is a macro of the same value (booleans: 0 or 1).

#include "fms/size.cuh"

#ifdef FMS_SPECIALIZED
#define FMS_KERNEL(...)
#define FMS_INT(...)
#define FMS_BOOL(...)
#define FMS_FLOAT(...)
#define FMS_TYPE(...)
#define FMS_ENUM(...)
#define FMS_SIZE(...)
#define FMS_ALLOW(...)
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace fms::spelling {
using float32 = float;
using float64 = double;
using float16 = __half;
using bfloat16 = __nv_bfloat16;
using int8 = signed char;
using uint8 = unsigned char;
using int16 = short;
using int32 = int;
using uint32 = unsigned;
using int64 = long long;
using uint64 = unsigned long long;
}  // namespace fms::spelling

#define FMS_STRIP_choices(...) __VA_ARGS__
#define FMS_KERNEL(name, doc)
#define FMS_INT(name, value, doc, ...) constexpr int name = value
#define FMS_BOOL(name, value, doc) constexpr bool name = value
#define FMS_FLOAT(name, value, doc) constexpr float name = value
#define FMS_TYPE(name, value, doc, ...) using name = fms::spelling::value
#define FMS_ENUM(Type, name, value, doc, list) \
  enum class Type { FMS_STRIP_##list };        \
  constexpr Type name = Type::value
#define FMS_SIZE(name, doc, ...) \
  __device__ constexpr fms::Size<fms::kDynamic> name {}
#define FMS_ALLOW(...)
#endif

#endif  // FMS_PARAMETER_CUH_
