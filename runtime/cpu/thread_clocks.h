#pragma once

// Internal. Not installed.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compiler/cpu_abi.h"

namespace fms::cpu {

// What each thread of a block knows of the others: which of their actions came before its next
// one. Vector clocks, of which a barrier of the block costs one number a thread, since what all
// know is kept once, and a thread keeps only what it has learnt since then.
//
// Times never repeat, from block to block and launch to launch. Not thread-safe. May throw
// std::bad_alloc where it says so.
class ThreadClocks {
 public:
  static constexpr std::uint32_t kMostThreads = 1024;

  ThreadClocks();

  // A block of that many threads begins, all of which know all that was before. REQUIRES: no more
  // than kMostThreads.
  void begin(std::uint32_t threads);

  // All threads now know what each has done, those that have ended included.
  void barrier();

  // The same of some lanes of the warp that begins with that thread. Throws.
  void join(std::uint32_t first_thread, std::uint32_t lanes);

  // What a thread did before its release of an address is known to those that acquire it later.
  // Few addresses are told apart at once: to be taken for one another makes threads know more.
  // Throws.
  void acquire(std::uint32_t thread, std::uintptr_t address);
  void release(std::uint32_t thread, std::uintptr_t address);

  // The time of what the thread does now, which is never 0.
  std::uint64_t now(std::uint32_t thread) const { return own_[thread]; }

  // True if what `other` did at `time` came before what `thread` does now. REQUIRES: not the same.
  bool knows(std::uint32_t thread, std::uint32_t other, std::uint64_t time) const {
    return time <= known_to_all_[other] || time <= learnt(thread, other);
  }

 private:
  static constexpr std::size_t kSlots = 1024;

  // What was released at the addresses of the slot, if that was since the last barrier.
  struct Slot {
    std::uint64_t interval = 0;
    std::vector<std::uint64_t> times;  // by thread
  };

  std::uint64_t learnt(std::uint32_t thread, std::uint32_t other) const;
  std::uint64_t* open_warp(std::uint32_t thread);
  std::uint64_t* open_block(std::uint32_t thread);
  void make_rows();
  Slot& slot_of(std::uintptr_t address);

  std::uint32_t threads_ = 0;
  std::size_t stride_ = 0;      // of rows_: whole warps
  std::uint64_t interval_ = 1;  // between two barriers; counted on from block to block
  std::vector<std::uint64_t> own_, known_to_all_;  // by thread
  // By thread, what it has learnt of each: of its own warp since warp_interval_, of the others
  // since block_interval_; nothing if that isn't interval_.
  std::vector<std::uint64_t> rows_;
  std::vector<std::uint64_t> warp_interval_, block_interval_;
  std::vector<std::uint64_t> joined_;  // of use within join()
  std::vector<Slot> slots_;
};

}  // namespace fms::cpu
