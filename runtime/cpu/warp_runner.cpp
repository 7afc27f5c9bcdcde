#include "runtime/cpu/warp_runner.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/cpu/sanitizer.h"
#include "runtime/cpu/warp_operation.h"

namespace fms::cpu {
namespace {

// A lane that spins on what another warp writes must let that warp run.
constexpr int kStepsInARow = 32;

// The smallest state first: threads that left a loop early wait for those still in it. But a loop
// may wait for a lane behind it, so that now and then each gets its turn.
constexpr std::uint32_t kStepsToFavourOne = 16;

std::uint32_t low_bits(std::uint32_t count) { return count == 32 ? kAllLanes : (1u << count) - 1; }

std::uint32_t count_of(std::uint32_t mask) {
  return static_cast<std::uint32_t>(std::popcount(mask));
}

}  // namespace

void WarpRunner::place(Warp* warp, std::span<const Row> rows) {
  warp_ = warp;
  rows_ = rows;
  lanes_ = low_bits(rows.back().lane + rows.back().count);
}

void WarpRunner::begin(BlockRun& run) {
  live_ = ready_ = lanes_;
  state_ = 0;
  together_ = true;
  at_warp_ = at_converge_ = 0;
  bad_lane_ = kWarpSize;
  run.live += count_of(lanes_);
}

bool WarpRunner::turn(BlockRun& run) {
  for (int steps = 0; ready_ != 0 && steps < kStepsInARow; ++steps) {
    if (together_) [[likely]] {
      step_together(run);
    } else {
      step_apart(run);
    }
    if (bad_lane_ != kWarpSize) [[unlikely]] {
      return false;
    }
  }
  return true;
}

std::uint32_t WarpRunner::common_state() const {
  if (together_) return state_;
  return state_of_all();
}

std::uint32_t WarpRunner::state_of_all() const {
  const std::uint32_t state = warp_->state[*Lanes(live_)];
  return (lanes_with(warp_->state, state) & live_) == live_ ? state : kManySuccessors;
}

void WarpRunner::release() { ready_ = live_; }

void WarpRunner::run_rows(Region region, BlockRun& run, std::uint32_t lanes) {
  if (run.kernel->checked) [[unlikely]] {
    for (Lanes lane(lanes); lane; ++lane) run_lane(region, run, *lane);
    return;
  }
  for (const Row& row : rows_) {
    std::uint32_t left = lanes >> row.lane & low_bits(row.count);
    while (left != 0) {
      const auto skip = static_cast<std::uint32_t>(std::countr_zero(left));
      const auto count = static_cast<std::uint32_t>(std::countr_one(left >> skip));
      region(&run.block, warp_, row.lane + skip, count, row.x + skip, row.y, row.z);
      left &= ~(low_bits(count) << skip);
    }
  }
}

void WarpRunner::run_lane(Region region, BlockRun& run, std::uint32_t lane) {
  const Row* row = rows_.data();
  while (lane >= row->lane + row->count) ++row;
  run.block.thread = warp_->first_thread + lane;
  region(&run.block, warp_, lane, 1, row->x + lane - row->lane, row->y, row->z);
}

void WarpRunner::end(BlockRun& run, std::uint32_t lanes) {
  live_ &= ~lanes;
  ready_ &= ~lanes;
  run.live -= count_of(lanes);
}

// The state that the region has brought the lanes to, less those it has ended; kManySuccessors if
// they differ.
std::uint32_t WarpRunner::read_next(BlockRun& run) {
  const std::uint32_t first = warp_->state[*Lanes(live_)];
  if ((lanes_with(warp_->state, first) & live_) == live_) return first;
  end(run, lanes_with(warp_->state, run.kernel->state_count) & live_);
  return state_of_all();
}

void WarpRunner::step_together(BlockRun& run) {
  const State& at = run.kernel->states[state_];
  run_rows(at.run, run, live_);
  const std::uint32_t next = at.next == kManySuccessors ? read_next(run) : at.next;
  if (next == run.kernel->state_count) {
    end(run, live_);
  } else if (next == kManySuccessors) {
    arrive_apart(run);
  } else {
    state_ = next;
    arrive_together(run);
  }
}

void WarpRunner::arrive_together(BlockRun& run) {
  const State& at = run.kernel->states[state_];
  ready_ = live_;
  switch (at.wait) {
    case Wait::kNothing:
      return;
    case Wait::kWarp:
      if (is_whole_group()) [[likely]] {
        return perform_at(at, run, live_);
      }
      for (Lanes lane(live_); lane; ++lane) warp_->state[*lane] = state_;
      arrive_apart(run);
      // The parts of a warp that has been cut in several groups are still together.
      together_ = ready_ == live_;
      return;
    case Wait::kConverge:
      return perform_at(at, run, live_);
    case Wait::kBlock:
      ready_ = 0;
      run.waiting += count_of(live_);
      return;
  }
}

// True if each live lane's mask is the same and has all of them.
bool WarpRunner::is_whole_group() const {
  const std::uint32_t mask = warp_->mask[*Lanes(live_)];
  return (lanes_with(warp_->mask, mask) & mask & live_) == live_;
}

// All lanes have come to what Warp::state says.
void WarpRunner::arrive_apart(BlockRun& run) {
  together_ = false;
  ready_ = at_warp_ = at_converge_ = 0;
  split(live_);
  for (Lanes lane(live_); lane; ++lane) arrive(run, *lane);
  release_groups(run);
  release_converged(run);
}

void WarpRunner::arrive(BlockRun& run, std::uint32_t lane) {
  const std::uint32_t bit = 1u << lane;
  ready_ &= ~bit;
  if (warp_->state[lane] == run.kernel->state_count) return end(run, bit);
  switch (run.kernel->states[warp_->state[lane]].wait) {
    case Wait::kNothing:
      ready_ |= bit;
      return;
    case Wait::kWarp:
      at_warp_ |= bit;
      if (!(warp_->mask[lane] & bit) && bad_lane_ == kWarpSize) bad_lane_ = lane;
      return;
    case Wait::kConverge:
      at_converge_ |= bit;
      return;
    case Wait::kBlock:
      ++run.waiting;
      return;
  }
}

void WarpRunner::step_apart(BlockRun& run) {
  const std::uint32_t chosen = choose();
  const std::uint32_t state = warp_->state[chosen];
  const std::uint32_t group = lanes_with(warp_->state, state) & ready_;
  const State& at = run.kernel->states[state];
  for (std::uint32_t left = group; left != 0;) {
    const std::uint32_t lanes = join(at, left);
    left &= ~lanes;
    if (lanes == live_) {
      together_ = true;
      state_ = state;
      return step_together(run);
    }
    run_rows(at.run, run, lanes);
    if (at.next != kManySuccessors) {
      for (Lanes lane(lanes); lane; ++lane) warp_->state[*lane] = at.next;
    }
    split(lanes);
    for (Lanes lane(lanes); lane; ++lane) arrive(run, *lane);
  }
  release_groups(run);
  release_converged(run);
}

// Those of `lanes`, which are in one state, that agree with the first of them on what its region
// takes as uniform. Lanes that have run together do so without being asked.
std::uint32_t WarpRunner::join(const State& at, std::uint32_t lanes) const {
  const std::uint32_t first = *Lanes(lanes);
  std::uint32_t joined = companions_[first] & lanes;
  for (std::uint32_t left = lanes & ~joined; left != 0;) {
    const std::uint32_t other = *Lanes(left);
    const std::uint32_t companions = companions_[other] & lanes;
    if (do_agree(at, first, other)) joined |= companions;
    left &= ~companions;
  }
  return joined;
}

bool WarpRunner::do_agree(const State& at, std::uint32_t a, std::uint32_t b) const {
  return std::ranges::all_of(std::span(at.uniform, at.uniform_count), [&](const Slot& slot) {
    const std::byte* values = warp_->frame + slot.offset;
    return std::memcmp(values + std::size_t{a} * slot.size, values + std::size_t{b} * slot.size,
                       slot.size) == 0;
  });
}

// `lanes` have just run together: those that have come to one state go on so.
void WarpRunner::split(std::uint32_t lanes) {
  for (std::uint32_t& companions : companions_) companions &= ~lanes;
  for (std::uint32_t left = lanes; left != 0;) {
    const std::uint32_t same = lanes_with(warp_->state, warp_->state[*Lanes(left)]) & left;
    for (Lanes lane(same); lane; ++lane) companions_[*lane] = same;
    left &= ~same;
  }
}

// A lane of the group that runs next.
std::uint32_t WarpRunner::choose() {
  if (++steps_apart_ % kStepsToFavourOne == 0) {
    const std::uint32_t behind = ready_ & ~low_bits(last_favoured_ + 1);
    last_favoured_ = *Lanes(behind != 0 ? behind : ready_);
    return last_favoured_;
  }
  Lanes lane(ready_);
  std::uint32_t chosen = *lane;
  for (++lane; lane; ++lane) {
    if (warp_->state[*lane] < warp_->state[chosen]) chosen = *lane;
  }
  return chosen;
}

// That lanes are at the same __activemask() orders nothing that they do.
void WarpRunner::perform_at(const State& state, const BlockRun& run, std::uint32_t group) {
  perform(state.operation, *warp_, group);
  if (run.sanitizer != nullptr && state.wait == Wait::kWarp) [[unlikely]] {
    run.sanitizer->warp_operation(warp_->first_thread, group);
  }
}

// Serves each group of lanes all of which have come.
void WarpRunner::release_groups(const BlockRun& run) {
  const State* const states = run.kernel->states;
  if (bad_lane_ != kWarpSize) return;
  for (std::uint32_t left = at_warp_; left != 0;) {
    const std::uint32_t lane = *Lanes(left);
    const std::uint32_t mask = warp_->mask[lane];
    const Operation operation = states[warp_->state[lane]].operation;
    const std::uint32_t group = mask & live_;
    const std::uint32_t with_mask = lanes_with(warp_->mask, mask);
    bool complete = (group & ~(at_warp_ & with_mask)) == 0;
    for (Lanes other(complete ? group : 0); other; ++other) {
      complete &= states[warp_->state[*other]].operation == operation;
    }
    left &= ~(1u << lane);
    if (!complete) continue;
    perform_at(states[warp_->state[lane]], run, group);
    left &= ~group;
    at_warp_ &= ~group;
    ready_ |= group;
  }
}

// Once nobody else can go on: who is at the same __activemask() now is what it returns.
void WarpRunner::release_converged(const BlockRun& run) {
  const State* const states = run.kernel->states;
  if (ready_ != 0 || at_converge_ == 0) return;
  std::uint32_t state = kManySuccessors;
  for (Lanes lane(at_converge_); lane; ++lane) state = std::min(state, warp_->state[*lane]);
  const std::uint32_t group = lanes_with(warp_->state, state) & at_converge_;
  perform_at(states[state], run, group);
  at_converge_ &= ~group;
  ready_ |= group;
}

}  // namespace fms::cpu
