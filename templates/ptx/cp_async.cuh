#ifndef FMS_PTX_CP_ASYNC_CUH_
#define FMS_PTX_CP_ASYNC_CUH_

// cp.async (sm_80 and later): copies from global to shared memory that pass by the registers. A
// thread commits what it started since its last commit as a group, and waits for its groups in
// order; others see the bytes after it has waited and they all have met at a barrier.

namespace fms {

// Copies the first `bytes`, 0 to 16, and zeros as the rest of 16. Both addresses are multiples of
// 16, but with 0 bytes `from` isn't read and may be any. Past the L1 cache (.cg): tiles are read
// once by a block, and then from shared memory.
__device__ inline void copy_async(unsigned to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most kPending of this thread's groups are in flight. The clobber keeps reads below it.
template <int kPending>
__device__ inline void wait_copies() {
  static_assert(kPending >= 0, "the number of groups left in flight");
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace fms

#endif  // FMS_PTX_CP_ASYNC_CUH_
