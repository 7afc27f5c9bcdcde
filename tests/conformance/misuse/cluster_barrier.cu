extern "C" __global__ void cluster_barrier(float* out) {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
  out[threadIdx.x] = 0;
}
