#ifndef FMS_CPU_BUILTIN_VARIABLES_CUH_
#define FMS_CPU_BUILTIN_VARIABLES_CUH_

// threadIdx, blockIdx, blockDim, gridDim and warpSize. The first four have no storage: a member
// that is read is a call.

#pragma clang system_header

#define FMS_CPU_VARIABLE(type, name, variable)                                    \
  struct type {                                                                   \
    using fms_cpu_index = unsigned;                                               \
    __declspec(property(get = get_x)) unsigned x;                                 \
    __declspec(property(get = get_y)) unsigned y;                                 \
    __declspec(property(get = get_z)) unsigned z;                                 \
    FMS_CPU_MEMBER unsigned get_x() const { return __fms_##name##_x(); }          \
    FMS_CPU_MEMBER unsigned get_y() const { return __fms_##name##_y(); }          \
    FMS_CPU_MEMBER unsigned get_z() const { return __fms_##name##_z(); }          \
    FMS_CPU_MEMBER operator uint3() const { return {get_x(), get_y(), get_z()}; } \
  };                                                                              \
  extern const __device__ type variable;
FMS_CPU_VARIABLE(fms_cpu_thread_idx, thread_idx, threadIdx)
FMS_CPU_VARIABLE(fms_cpu_block_idx, block_idx, blockIdx)
FMS_CPU_VARIABLE(fms_cpu_block_dim, block_dim, blockDim)
FMS_CPU_VARIABLE(fms_cpu_grid_dim, grid_dim, gridDim)
#undef FMS_CPU_VARIABLE

static constexpr int warpSize = 32;

#endif  // FMS_CPU_BUILTIN_VARIABLES_CUH_
