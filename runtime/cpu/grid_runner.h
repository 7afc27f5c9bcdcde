#pragma once

// Internal. Not installed.

#include <atomic>
#include <cstdint>

#include "runtime/cpu/block_runner.h"
#include "runtime/cpu/failure.h"

namespace fms::cpu {

// What a kernel's blocks took so far, to tell whether waking other threads pays. Thread-safe.
struct Cost {
  std::atomic<std::uint32_t> block_ns{0};  // 0: not known
};

// Runs all blocks of `grid`, and gives the failure of the first block that has failed, if one has.
// Blocks begin in the order of their linear index; none begins after one has failed.
Failure run_grid(const Grid& grid, Cost& cost);

// The same with all blocks at once, each in a thread of its own, so that they may wait for each
// other. REQUIRES: no more blocks than ThreadPool::size().
Failure run_grid_at_once(const Grid& grid);

}  // namespace fms::cpu
