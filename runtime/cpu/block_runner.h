#pragma once

// Internal. Not installed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "compiler/cpu_abi.h"
#include "runtime/cpu/failure.h"
#include "runtime/cpu/sanitizer.h"
#include "runtime/cpu/warp_runner.h"

namespace fms::cpu {

// All blocks of a launch.
struct Grid {
  const Kernel* kernel = nullptr;
  const std::byte* arguments = nullptr;  // laid out as the kernel's parameters, 64-byte aligned
  std::uint32_t argument_bytes = 0;
  std::uint32_t grid_dim[3] = {1, 1, 1};
  std::uint32_t block_dim[3] = {1, 1, 1};
  std::uint32_t dynamic_smem_bytes = 0;

  std::uint64_t block_count() const;
  std::uint32_t thread_count() const;  // of a block
};

// Runs blocks, one after the other, in the thread that owns it. Its memory stays from block to
// block and from launch to launch.
//
// Within a block, warps take turns of a bounded number of steps, so that a warp which spins on
// another one's work gets it. A barrier that some threads can't come to is a failure that says
// where each of them waits.
class BlockRunner {
 public:
  // Gets ready for blocks of `grid`, which must outlive their runs. False: not enough memory.
  bool prepare(const Grid& grid);

  // Runs the blocks from `first` on, less than `last`, in this order. False: one has failed, which
  // is described in `failure`, as is its index in failed_block(). Gives up once `stop` is true.
  // REQUIRES: prepared.
  bool run(std::uint64_t first, std::uint64_t last, const std::atomic<bool>& stop,
           Failure& failure);
  std::uint64_t failed_block() const { return current_; }

 private:
  // Grows, never shrinks, and doesn't keep what is in it.
  class Memory {
   public:
    std::byte* get(std::size_t bytes);  // 1024-byte aligned; null: there is no memory

   private:
    struct Free {
      void operator()(std::byte* bytes) const;
    };
    std::unique_ptr<std::byte, Free> bytes_;
    std::size_t size_ = 0;
  };

  bool prepare_warps(const Grid& grid);
  bool prepare_sanitizer(const Grid& grid);
  bool has_warps_for(const Grid& grid) const;
  void run_blocks(std::uint64_t last, const std::atomic<bool>& stop, Failure& failure);
  void run_rows();
  bool run_warps(const std::atomic<bool>& stop, Failure& failure);
  bool release();
  void reduce_over_block(Operation operation);

  BlockRun run_;
  std::uint64_t current_ = 0;  // the linear index of the block that runs
  std::uint32_t grid_dim_[3] = {1, 1, 1};
  bool is_simple_ = true;  // no thread waits for another one: no warps are needed
  std::vector<WarpRunner> warps_;
  std::vector<Row> rows_;
  std::uint32_t warps_block_dim_[3] = {0, 0, 0};  // what warps_ are for; 0: nothing
  std::uint64_t warps_frame_bytes_ = 0;
  Memory shared_, warp_memory_, frames_;
  std::unique_ptr<Sanitizer> sanitizer_;  // once a checked kernel has been run
};

}  // namespace fms::cpu
