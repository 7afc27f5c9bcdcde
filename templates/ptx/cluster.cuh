#ifndef FMS_PTX_CLUSTER_CUH_
#define FMS_PTX_CLUSTER_CUH_

// Clusters: blocks that run at the same time on neighbouring SMs and reach each other's shared
// memory. sm_90 and later.

namespace fms {

// This block's number in its cluster.
__device__ inline unsigned cluster_rank() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Waits for every thread of the cluster; what they did before is visible after. Whole warps.
__device__ inline void cluster_sync() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

// The address, in the cluster's window, of what block `rank` has at this address of its own.
__device__ inline unsigned cluster_address(unsigned shared, unsigned rank) {
  unsigned address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared), "r"(rank));
  return address;
}

}  // namespace fms

#endif  // FMS_PTX_CLUSTER_CUH_
