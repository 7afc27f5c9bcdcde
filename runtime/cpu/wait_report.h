#pragma once

// Internal. Not installed.

#include <span>
#include <string>

#include "runtime/cpu/warp_runner.h"

namespace fms::cpu {

// What to say of a block none of whose threads can go on: how many wait where, and for what.
// "block (1,0,0): 32 threads wait at reduce.cu:12 (__syncthreads; the first is (0,0,0)), 96 at
// reduce.cu:19 (...): they never meet"
std::string describe_deadlock(const BlockRun& run, std::span<const WarpRunner> warps);

// What to say of a thread that isn't in the mask it has given.
std::string describe_bad_mask(const BlockRun& run, const WarpRunner& warp);

}  // namespace fms::cpu
