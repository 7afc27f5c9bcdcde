#ifndef FMS_CPU_INTRINSICS_CUH_
#define FMS_CPU_INTRINSICS_CUH_

// What the compiler's pass replaces, and what the loader finds in the runtime.

#pragma clang system_header

#define FMS_CPU_INDEX(name) \
  extern "C" __host__ __device__ __attribute__((const, nothrow)) unsigned __fms_##name()
FMS_CPU_INDEX(thread_idx_x);
FMS_CPU_INDEX(thread_idx_y);
FMS_CPU_INDEX(thread_idx_z);
FMS_CPU_INDEX(block_idx_x);
FMS_CPU_INDEX(block_idx_y);
FMS_CPU_INDEX(block_idx_z);
FMS_CPU_INDEX(block_dim_x);
FMS_CPU_INDEX(block_dim_y);
FMS_CPU_INDEX(block_dim_z);
FMS_CPU_INDEX(grid_dim_x);
FMS_CPU_INDEX(grid_dim_y);
FMS_CPU_INDEX(grid_dim_z);
FMS_CPU_INDEX(thread);  // in the block, linear
FMS_CPU_INDEX(dynamic_smem_size);
#undef FMS_CPU_INDEX

// `operation` is a cpu::Operation (compiler/cpu_abi.h), and a constant at every call.
#define FMS_CPU_CONVERGENT FMS_CPU_EXTERN __attribute__((convergent))
FMS_CPU_CONVERGENT void __fms_barrier();
FMS_CPU_CONVERGENT unsigned __fms_barrier_reduce(unsigned operation, unsigned value);
FMS_CPU_CONVERGENT unsigned long long __fms_warp(unsigned operation, unsigned mask,
                                                 unsigned long long value, unsigned source_lane);
FMS_CPU_CONVERGENT unsigned __fms_active_mask();
#undef FMS_CPU_CONVERGENT

// The runtime's.
FMS_CPU_EXTERN __attribute__((noreturn, cold)) void fms_cpu_assert_fail(
    const char* expression, const char* file, unsigned line, const char* function,
    unsigned thread_x, unsigned thread_y, unsigned thread_z, unsigned block_x, unsigned block_y,
    unsigned block_z);
FMS_CPU_EXTERN __attribute__((noreturn, cold)) void fms_cpu_trap(unsigned thread_x,
                                                                 unsigned thread_y,
                                                                 unsigned thread_z,
                                                                 unsigned block_x, unsigned block_y,
                                                                 unsigned block_z);
FMS_CPU_EXTERN long long fms_cpu_clock();  // cycles
FMS_CPU_EXTERN long long fms_cpu_nanoseconds();
FMS_CPU_EXTERN void fms_cpu_nanosleep(unsigned nanoseconds);

// libc's.
FMS_CPU_EXTERN __attribute__((format(printf, 1, 2))) int printf(const char* format, ...);
FMS_CPU_EXTERN void* memcpy(void* to, const void* from, size_t bytes);
FMS_CPU_EXTERN void* memmove(void* to, const void* from, size_t bytes);
FMS_CPU_EXTERN void* memset(void* to, int value, size_t bytes);

#endif  // FMS_CPU_INTRINSICS_CUH_
