#include "runtime/cpu/thread_clocks.h"

#include <algorithm>

#include "runtime/cpu/warp_operation.h"

namespace fms::cpu {
namespace {

std::uint32_t warp_start(std::uint32_t thread) { return thread / kWarpSize * kWarpSize; }

void take_later(std::uint64_t* times, const std::uint64_t* others, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) times[i] = std::max(times[i], others[i]);
}

}  // namespace

ThreadClocks::ThreadClocks()
    : own_(kMostThreads, 1),
      known_to_all_(kMostThreads, 0),
      warp_interval_(kMostThreads, 0),
      block_interval_(kMostThreads, 0) {}

// All threads that there could have been: the last block may have had more.
void ThreadClocks::begin(std::uint32_t threads) {
  threads_ = kMostThreads;
  barrier();
  threads_ = threads;
  stride_ = warp_start(threads + kWarpSize - 1);
}

void ThreadClocks::barrier() {
  for (std::uint32_t i = 0; i < threads_; ++i) known_to_all_[i] = own_[i]++;
  ++interval_;
}

std::uint64_t ThreadClocks::learnt(std::uint32_t thread, std::uint32_t other) const {
  const bool in_warp = warp_start(thread) == warp_start(other);
  const std::uint64_t interval = in_warp ? warp_interval_[thread] : block_interval_[thread];
  return interval == interval_ ? rows_[thread * stride_ + other] : 0;
}

void ThreadClocks::make_rows() {
  if (rows_.size() < threads_ * stride_) rows_.resize(threads_ * stride_);
  if (joined_.size() < stride_) joined_.resize(stride_);
}

// The thread's row, with what it has learnt of its own warp.
std::uint64_t* ThreadClocks::open_warp(std::uint32_t thread) {
  std::uint64_t* const row = rows_.data() + thread * stride_;
  if (warp_interval_[thread] != interval_) {
    warp_interval_[thread] = interval_;
    std::fill_n(row + warp_start(thread), kWarpSize, 0);
  }
  return row;
}

// The thread's row, with what it has learnt of all.
std::uint64_t* ThreadClocks::open_block(std::uint32_t thread) {
  std::uint64_t* const row = open_warp(thread);
  if (block_interval_[thread] != interval_) {
    block_interval_[thread] = interval_;
    const std::uint32_t warp = warp_start(thread);
    std::fill(row, row + warp, 0);
    std::fill(row + warp + kWarpSize, row + stride_, 0);
  }
  return row;
}

void ThreadClocks::join(std::uint32_t first_thread, std::uint32_t lanes) {
  make_rows();
  bool within_warp = true;  // until then: nobody has learnt anything of other warps
  for (Lanes lane(lanes); lane; ++lane) {
    within_warp = within_warp && block_interval_[first_thread + *lane] != interval_;
  }
  const std::size_t first = within_warp ? first_thread : 0;
  const std::size_t count = within_warp ? kWarpSize : stride_;
  const auto row_of = [&](std::uint32_t lane) {
    const std::uint32_t thread = first_thread + lane;
    return (within_warp ? open_warp(thread) : open_block(thread)) + first;
  };
  std::fill_n(joined_.begin(), count, 0);
  for (Lanes lane(lanes); lane; ++lane) {
    take_later(joined_.data(), row_of(*lane), count);
  }
  for (Lanes lane(lanes); lane; ++lane) {
    const std::uint32_t thread = first_thread + *lane;
    joined_[thread - first] = own_[thread]++;
  }
  for (Lanes lane(lanes); lane; ++lane) std::copy_n(joined_.begin(), count, row_of(*lane));
}

// Words side by side have slots of their own.
ThreadClocks::Slot& ThreadClocks::slot_of(std::uintptr_t address) {
  if (slots_.empty()) slots_.resize(kSlots);
  return slots_[(address / 4 + address / (4 * kSlots) * 7) % kSlots];
}

void ThreadClocks::acquire(std::uint32_t thread, std::uintptr_t address) {
  const Slot& slot = slot_of(address);
  if (slot.interval != interval_) return;
  make_rows();
  take_later(open_block(thread), slot.times.data(), stride_);
}

void ThreadClocks::release(std::uint32_t thread, std::uintptr_t address) {
  Slot& slot = slot_of(address);
  if (slot.interval != interval_) {
    slot.times.assign(stride_, 0);
    slot.interval = interval_;
  }
  if (block_interval_[thread] == interval_) {
    take_later(slot.times.data(), rows_.data() + thread * stride_, stride_);
  } else if (warp_interval_[thread] == interval_) {
    const std::uint32_t warp = warp_start(thread);
    take_later(slot.times.data() + warp, rows_.data() + thread * stride_ + warp, kWarpSize);
  }
  slot.times[thread] = own_[thread]++;
}

}  // namespace fms::cpu
