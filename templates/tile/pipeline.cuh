#ifndef FMS_TILE_PIPELINE_CUH_
#define FMS_TILE_PIPELINE_CUH_

// A ring of kStages buffers between a producer, which waits for an empty one and fills it by bulk
// copies, and consumers, which wait for a full one and release it.

#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"

namespace fms {

// Where in the ring somebody is. Each party keeps its own, and steps it alike.
template <int kStages>
struct PipelinePosition {
  static_assert(kStages >= 1, "a ring has a buffer");
  unsigned stage = 0;
  unsigned parity = 0;

  __device__ void step() {
    if constexpr (kStages == 1) {
      parity ^= 1;
    } else if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// The barriers of a ring: of each stage a full one and, kStages of them further, an empty one. In a
// cluster of kCluster blocks the producers of all fill each other's buffers by multicast, so a
// buffer is empty when it is released in every block.
template <int kStages, int kCluster = 1>
struct Pipeline {
  enum : int { kBytes = 16 * kStages };
  using Position = PipelinePosition<kStages>;

  unsigned barriers;  // shared address

  // By one thread, before fence_mbarrier_init() and a barrier of the block, of the cluster if it is
  // one. `warps` is the number of warps of a block that call release().
  __device__ void init(unsigned warps) const {
    for (int i = 0; i < kStages; ++i) {
      mbarrier_init(full(i), 1);
      mbarrier_init(empty(i), warps * kCluster);
    }
  }

  __device__ unsigned full(unsigned stage) const { return barriers + 8 * stage; }
  __device__ unsigned empty(unsigned stage) const { return barriers + 8 * (kStages + stage); }

  // Producer: waits for the buffer to be empty and announces `bytes`; copies then count at full().
  __device__ void begin_fill(Position at, unsigned bytes) const {
    if constexpr (kCluster == 1) {
      mbarrier_wait(empty(at.stage), at.parity ^ 1);
    } else {
      mbarrier_wait_cluster(empty(at.stage), at.parity ^ 1);
    }
    mbarrier_arrive_expect_tx(full(at.stage), bytes);
  }

  // The first half of it alone.
  __device__ void wait_empty(Position at) const { mbarrier_wait(empty(at.stage), at.parity ^ 1); }

  // Consumers. release() is called by whole warps, each once for a buffer, after what reads it.
  __device__ bool is_full(Position at) const {
    return mbarrier_test_wait(full(at.stage), at.parity);
  }
  __device__ void wait_full(Position at) const { mbarrier_wait(full(at.stage), at.parity); }
  __device__ void release(Position at) const {
    const unsigned lane = threadIdx.x % 32;
    if constexpr (kCluster == 1) {
      if (lane == 0) mbarrier_arrive(empty(at.stage));
    } else {
      if (lane < kCluster) mbarrier_arrive_cluster(cluster_address(empty(at.stage), lane));
    }
  }
};

}  // namespace fms

#endif  // FMS_TILE_PIPELINE_CUH_
