#ifndef FMS_PTX_TMA_CUH_
#define FMS_PTX_TMA_CUH_

// cp.async.bulk.tensor: the copy engine moves a box of a tensor between global and shared memory.
// One thread issues it. What lies outside of the tensor is read as 0 and counts among the bytes.

#include "ptx/tensor_map.cuh"

namespace fms {

// Makes what this thread wrote to shared memory visible to the copy engine and to wgmma.
__device__ inline void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Has the engine fetch the map ahead of its first use.
__device__ inline void prefetch_tensor_map(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Loads the box at (column, row, head, batch) of a tensor of four dimensions, columns contiguous,
// to `shared`, and counts its bytes at the mbarrier when they are there.
__device__ inline void tma_load_4d(unsigned shared, const TensorMap& map, unsigned barrier,
                                   int column, int row, int head, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared),
      "l"(&map), "r"(barrier), "r"(column), "r"(row), "r"(head), "r"(batch)
      : "memory");
}

// Fetches the box to the L2 cache only.
__device__ inline void tma_prefetch_4d(const TensorMap& map, int column, int row, int head,
                                       int batch) {
  asm volatile(
      "cp.async.bulk.prefetch.tensor.4d.L2.global.tile [%0, {%1, %2, %3, %4}];" ::"l"(&map),
      "r"(column), "r"(row), "r"(head), "r"(batch)
      : "memory");
}

// The same, to the same address in every block of the cluster whose bit is set in `blocks`; each
// counts the bytes at its own mbarrier, which is at the same address too.
__device__ inline void tma_multicast_4d(unsigned shared, const TensorMap& map, unsigned barrier,
                                        int column, int row, int head, int batch,
                                        unsigned short blocks) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(shared),
      "l"(&map), "r"(barrier), "r"(column), "r"(row), "r"(head), "r"(batch), "h"(blocks)
      : "memory");
}

}  // namespace fms

#endif  // FMS_PTX_TMA_CUH_
