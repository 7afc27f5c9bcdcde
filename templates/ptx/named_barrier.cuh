#ifndef FMS_PTX_NAMED_BARRIER_CUH_
#define FMS_PTX_NAMED_BARRIER_CUH_

// The 16 barriers of a block, by number; __syncthreads() is number 0. A barrier opens when
// `threads` threads, whole warps of them, have called either function, and is then as new. All
// lanes of a warp call it together.

namespace fms {

// Counts this warp and waits.
__device__ inline void named_barrier_sync(int barrier, int threads) {
  asm volatile("barrier.cta.sync.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// Counts this warp and goes on.
__device__ inline void named_barrier_arrive(int barrier, int threads) {
  asm volatile("barrier.cta.arrive.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

}  // namespace fms

#endif  // FMS_PTX_NAMED_BARRIER_CUH_
