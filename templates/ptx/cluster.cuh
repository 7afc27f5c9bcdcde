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

// How many blocks a cluster has; 1 where the launch names none.
__device__ inline unsigned cluster_size() {
  unsigned size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
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

// Reads a cluster_address().
__device__ inline float load_cluster_float(unsigned address) {
  float value;
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
  return value;
}

}  // namespace fms

#endif  // FMS_PTX_CLUSTER_CUH_
