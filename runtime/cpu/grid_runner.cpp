#include "runtime/cpu/grid_runner.h"

#include <xmmintrin.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <mutex>

#include "runtime/cpu/host.h"
#include "runtime/cpu/thread_pool.h"

namespace fms::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// Waking a thread takes some 5 us of this one's time, and as long again until it works.
constexpr std::uint64_t kWorthWakingNs = 20'000;

std::uint64_t ns_since(Clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

// Results must not depend on how the program has set rounding and denormals in one of its threads.
class DefaultRounding {
 public:
  DefaultRounding() : before_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~DefaultRounding() { _mm_setcsr(before_); }
  DefaultRounding(const DefaultRounding&) = delete;
  DefaultRounding& operator=(const DefaultRounding&) = delete;

 private:
  static constexpr unsigned kDefault = 0x1f80;
  unsigned before_;
};

// The blocks of one launch, handed out to the threads that take part.
class Handout {
 public:
  Handout(const Grid& grid, std::uint64_t chunk)
      : grid_(grid), total_(grid.block_count()), chunk_(chunk) {}

  // Runs blocks in the calling thread until there are no more, or it has taken longer than that.
  void work(std::uint64_t limit_ns) {
    thread_local BlockRunner runner;
    const Clock::time_point start = Clock::now();
    const DefaultRounding rounding;
    if (!runner.prepare(grid_)) {
      const std::uint64_t first = next_.load(std::memory_order_relaxed);
      return note({Failure::Kind::kOutOfMemory, "no memory for a block's frames"}, first);
    }
    std::uint64_t elapsed = 0;
    while (elapsed <= limit_ns && !stop_.load(std::memory_order_relaxed)) {
      const std::uint64_t first = next_.fetch_add(chunk_, std::memory_order_relaxed);
      if (first >= total_) break;
      Failure failure;
      if (!runner.run(first, std::min(first + chunk_, total_), stop_, failure)) {
        note(std::move(failure), runner.failed_block());
      }
      elapsed = ns_since(start);
    }
    busy_ns_.fetch_add(elapsed, std::memory_order_relaxed);
  }

  bool has_more() const {
    return next_.load(std::memory_order_relaxed) < total_ && !stop_.load(std::memory_order_relaxed);
  }

  // Once all work() has returned.
  Failure take_failure() { return std::move(failure_); }
  std::uint64_t block_ns() const { return busy_ns_.load(std::memory_order_relaxed) / total_; }

 private:
  void note(Failure failure, std::uint64_t block) {
    stop_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (failure_.kind != Failure::Kind::kNone && failed_block_ <= block) return;
    failure_ = std::move(failure);
    failed_block_ = block;
  }

  const Grid& grid_;
  const std::uint64_t total_;
  const std::uint64_t chunk_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> busy_ns_{0};
  std::mutex mutex_;
  Failure failure_;                 // guarded by mutex_
  std::uint64_t failed_block_ = 0;  // guarded by mutex_
};

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

}  // namespace

Failure run_grid(const Grid& grid, Cost& cost) {
  const std::uint64_t blocks = grid.block_count();
  if (blocks == 1) {
    Handout handout(grid, 1);
    handout.work(kNoLimit);
    return handout.take_failure();
  }
  // Large enough that the counter isn't what threads wait for, small enough that they end together.
  ThreadPool& pool = ThreadPool::get();
  const std::uint64_t chunk = std::clamp<std::uint64_t>(blocks / (16 * usable_cores()), 1, 64);
  Handout handout(grid, chunk);
  const std::uint64_t block_ns = cost.block_ns.load(std::memory_order_relaxed);
  if (block_ns != 0 && block_ns <= kWorthWakingNs / blocks) handout.work(2 * kWorthWakingNs);
  if (handout.has_more()) {
    const auto threads = static_cast<unsigned>(std::min<std::uint64_t>(blocks, usable_cores()));
    pool.run(threads, [&handout] { handout.work(kNoLimit); });
  }
  const std::uint64_t took = std::clamp<std::uint64_t>(handout.block_ns(), 1, 0xffff'ffff);
  cost.block_ns.store(static_cast<std::uint32_t>(took), std::memory_order_relaxed);
  return handout.take_failure();
}

Failure run_grid_at_once(const Grid& grid) {
  Handout handout(grid, 1);
  ThreadPool::get().run(static_cast<unsigned>(grid.block_count()),
                        [&handout] { handout.work(kNoLimit); });
  return handout.take_failure();
}

}  // namespace fms::cpu
