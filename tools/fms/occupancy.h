#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace fms::program {

// What one SM of a compute capability has for the blocks on it.
struct SmLimits {
  int compute_capability = 0;
  int warps = 0;
  int blocks = 0;
  int smem_bytes = 0;           // which one block may have as well
  int smem_unit_bytes = 0;      // a block's shared memory is rounded up to multiples of it
  int reserved_smem_bytes = 0;  // a block, for the system
  int barriers = 0;             // named ones; 0: they are no limit
};

// Null: not known.
const SmLimits* sm_limits(int compute_capability);

// What one block takes of it.
struct BlockUse {
  int threads = 0;
  int registers = 0;            // a thread
  std::int64_t smem_bytes = 0;  // static and dynamic
  int barriers = 0;             // 0: not known, and not counted
};

enum class OccupancyLimit { kWarps, kBlocks, kRegisters, kSharedMemory, kBarriers };
std::string_view to_string(OccupancyLimit limit);  // "warps", "shared memory", ...

// Blocks that are on an SM at once. No blocks: such a block can't be launched.
struct Occupancy {
  int blocks = 0;
  int warps = 0;
  int max_warps = 0;
  std::vector<OccupancyLimit> limited_by;  // what would have to grow for one more: all of them

  double share() const { return max_warps > 0 ? double(warps) / max_warps : 0; }
};

// REQUIRES: use.threads > 0.
Occupancy occupancy(const SmLimits& limits, const BlockUse& use);

}  // namespace fms::program
