#ifndef FMS_CPU_PRELUDE_CUH_
#define FMS_CPU_PRELUDE_CUH_

// What NVRTC gives a kernel without an #include, for clang's CUDA device mode on a processor: it is
// included before the kernel's first line. Nothing here needs a system header.
//
// The 16-bit types are not part of it: cuda_fp16.h and cuda_bf16.h give them, as with NVRTC.

// Whoever defines a macro twice or shadows a name here is told of his own line only.
#pragma clang system_header

// In this order, since each uses what stands above it.
// clang-format off
#include "fms/cpu/keywords.cuh"
#include "fms/cpu/intrinsics.cuh"
#include "fms/cpu/vector_types.cuh"
#include "fms/cpu/builtin_variables.cuh"
#include "fms/cpu/conversions.cuh"
#include "fms/cpu/integers.cuh"
#include "fms/cpu/packed_integers.cuh"
#include "fms/cpu/math_library.cuh"
#include "fms/cpu/math_exponential.cuh"
#include "fms/cpu/math_special.cuh"
#include "fms/cpu/math_overloads.cuh"
#include "fms/cpu/rounding_to_odd.cuh"
#include "fms/cpu/math_rounding.cuh"
#include "fms/cpu/atomics.cuh"
#include "fms/cpu/memory.cuh"
#include "fms/cpu/warp.cuh"
#include "fms/cpu/checks.cuh"
// clang-format on

#endif  // FMS_CPU_PRELUDE_CUH_
