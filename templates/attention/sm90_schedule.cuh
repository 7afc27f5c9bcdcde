#ifndef FMS_ATTENTION_SM90_SCHEDULE_CUH_
#define FMS_ATTENTION_SM90_SCHEDULE_CUH_

namespace fms {

// Which of a row of positions a worker (a block, or a cluster) of a persistent launch takes, and in
// which order. Static, hence deterministic and without a counter in memory.
//
// Positions are dealt out forth and back: if they are tiles, longest first, then whoever got the
// longest of one round gets the shortest of the next, which levels causal work to within 1 % of
// what a dynamic queue reaches. Or in pairs, all alike, in rounds of two; if there are two blocks
// to a worker (gridDim.y is 2: no tile has to wait then), each takes one of every pair.
template <bool kPairs>
struct TileSchedule {
  int workers, worker;
  int round = kPairs ? int(blockIdx.y) : 0;

  // Past the end of the row when there is no more.
  __device__ int position() const {
    if constexpr (kPairs) return (round / 2 * workers + worker) * 2 + round % 2;
    return round * workers + (round % 2 == 0 ? worker : workers - 1 - worker);
  }
  __device__ void step() { round += kPairs ? int(gridDim.y) : 1; }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_SCHEDULE_CUH_
