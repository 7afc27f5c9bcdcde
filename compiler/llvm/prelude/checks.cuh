#ifndef FMS_CPU_CHECKS_CUH_
#define FMS_CPU_CHECKS_CUH_

// assert, traps and clocks. printf is libc's.

#pragma clang system_header

#ifdef NDEBUG
#define assert(condition) static_cast<void>(0)
#else
#define assert(condition)                                                                      \
  (static_cast<bool>(condition)                                                                \
       ? static_cast<void>(0)                                                                  \
       : fms_cpu_assert_fail(#condition, __FILE__, __LINE__, __PRETTY_FUNCTION__,              \
                             __fms_thread_idx_x(), __fms_thread_idx_y(), __fms_thread_idx_z(), \
                             __fms_block_idx_x(), __fms_block_idx_y(), __fms_block_idx_z()))
#endif

FMS_CPU_FN void __trap() {
  fms_cpu_trap(__fms_thread_idx_x(), __fms_thread_idx_y(), __fms_thread_idx_z(),
               __fms_block_idx_x(), __fms_block_idx_y(), __fms_block_idx_z());
}
FMS_CPU_FN void __brkpt() { __trap(); }

FMS_CPU_FN clock_t clock() { return fms_cpu_clock(); }
FMS_CPU_FN long long clock64() { return fms_cpu_clock(); }
FMS_CPU_FN void __nanosleep(unsigned nanoseconds) { fms_cpu_nanosleep(nanoseconds); }

#endif  // FMS_CPU_CHECKS_CUH_
