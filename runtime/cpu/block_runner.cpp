#include "runtime/cpu/block_runner.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/cpu/wait_report.h"
#include "runtime/cpu/warp_operation.h"

namespace fms::cpu {
namespace {

constexpr std::size_t kAlignment = 1024;  // of shared memory, as tensor maps need it on a device
constexpr std::size_t kLine = 64;

// Blocks may wait for each other, on fewer cores than there are threads.
constexpr std::uint32_t kRoundsBeforeYield = 16;

std::size_t round_up(std::size_t size, std::size_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

// Cuts the threads of a block into warps, and these into rows.
void append_rows(const std::uint32_t (&block_dim)[3], std::uint32_t first_thread,
                 std::uint32_t count, std::vector<Row>& rows) {
  const std::uint32_t width = block_dim[0];
  for (std::uint32_t lane = 0; lane < count;) {
    const std::uint32_t thread = first_thread + lane;
    const std::uint32_t x = thread % width;
    const std::uint32_t row = thread / width;
    const std::uint32_t length = std::min(width - x, count - lane);
    rows.push_back(
        {.lane = lane, .count = length, .x = x, .y = row % block_dim[1], .z = row / block_dim[1]});
    lane += length;
  }
}

}  // namespace

std::uint64_t Grid::block_count() const {
  return std::uint64_t{grid_dim[0]} * grid_dim[1] * grid_dim[2];
}

std::uint32_t Grid::thread_count() const { return block_dim[0] * block_dim[1] * block_dim[2]; }

void BlockRunner::Memory::Free::operator()(std::byte* bytes) const { std::free(bytes); }

std::byte* BlockRunner::Memory::get(std::size_t bytes) {
  if (bytes > size_ || !bytes_) {
    size_ = 0;
    const std::size_t size = round_up(std::max<std::size_t>(bytes, 1), kAlignment);
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)));
    if (bytes_) size_ = size;
  }
  return bytes_.get();
}

bool BlockRunner::prepare(const Grid& grid) {
  run_.kernel = grid.kernel;
  std::copy_n(grid.grid_dim, 3, grid_dim_);
  Block& block = run_.block;
  block = {.arguments = grid.arguments, .dynamic_smem_bytes = grid.dynamic_smem_bytes, .run = this};
  std::copy_n(grid.grid_dim, 3, block.grid_dim);
  std::copy_n(grid.block_dim, 3, block.block_dim);
  block.shared = shared_.get(std::size_t{grid.kernel->static_smem_bytes} + grid.dynamic_smem_bytes);
  is_simple_ = grid.kernel->frame_bytes == 0 && grid.kernel->state_count == 1;
  return block.shared && (is_simple_ || has_warps_for(grid) || prepare_warps(grid)) &&
         prepare_sanitizer(grid);
}

bool BlockRunner::prepare_sanitizer(const Grid& grid) {
  run_.sanitizer = nullptr;
  if (!grid.kernel->checked) return true;
  if (!sanitizer_) {
    try {
      sanitizer_ = std::make_unique<Sanitizer>();
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  MemoryRange frames;
  if (!is_simple_) {
    const std::size_t size = warps_.size() * round_up(grid.kernel->frame_bytes, kLine);
    frames = {reinterpret_cast<std::uintptr_t>(warps_.front().warp().frame), size};
  }
  const auto arguments = reinterpret_cast<std::uintptr_t>(grid.arguments);
  sanitizer_->prepare(*grid.kernel, run_.block, {arguments, grid.argument_bytes}, frames);
  run_.sanitizer = sanitizer_.get();
  return true;
}

bool BlockRunner::has_warps_for(const Grid& grid) const {
  return std::ranges::equal(warps_block_dim_, grid.block_dim) &&
         warps_frame_bytes_ == grid.kernel->frame_bytes;
}

bool BlockRunner::prepare_warps(const Grid& grid) {
  const std::uint32_t threads = grid.thread_count();
  const std::size_t warp_count = (threads + kWarpSize - 1) / kWarpSize;
  const std::size_t frame_bytes = round_up(grid.kernel->frame_bytes, kLine);
  warps_block_dim_[0] = 0;
  std::byte* const frames = frames_.get(warp_count * frame_bytes);
  std::byte* const memory = warp_memory_.get(warp_count * sizeof(Warp));
  if (!frames || !memory) return false;
  try {
    warps_.resize(warp_count);
    rows_.clear();
    rows_.reserve(threads);  // at most; so that the spans into it stay valid
  } catch (const std::bad_alloc&) {
    return false;
  }
  for (std::size_t i = 0; i < warp_count; ++i) {
    Warp* const warp = new (memory + i * sizeof(Warp)) Warp;
    warp->frame = frames + i * frame_bytes;
    warp->first_thread = static_cast<std::uint32_t>(i) * kWarpSize;
    const std::size_t first_row = rows_.size();
    append_rows(grid.block_dim, warp->first_thread,
                std::min(kWarpSize, threads - warp->first_thread), rows_);
    warps_[i].place(warp, std::span<const Row>(rows_).subspan(first_row));
  }
  std::copy_n(grid.block_dim, 3, warps_block_dim_);
  warps_frame_bytes_ = grid.kernel->frame_bytes;
  return true;
}

bool BlockRunner::run(std::uint64_t first, std::uint64_t last, const std::atomic<bool>& stop,
                      Failure& failure) {
  struct Call {
    BlockRunner* runner;
    std::uint64_t last;
    const std::atomic<bool>* stop;
    Failure* failure;
  } call{this, last, &stop, &failure};
  current_ = first;
  const SanitizerScope scope(run_.sanitizer);
  const bool came_back = run_guarded(
      run_.block, failure,
      [](void* argument) {
        const Call& made = *static_cast<Call*>(argument);
        made.runner->run_blocks(made.last, *made.stop, *made.failure);
      },
      &call);
  return came_back && failure.kind == Failure::Kind::kNone;
}

void BlockRunner::run_blocks(std::uint64_t last, const std::atomic<bool>& stop, Failure& failure) {
  std::uint32_t(&index)[3] = run_.block.block_index;
  const std::uint64_t row = current_ / grid_dim_[0];
  index[0] = static_cast<std::uint32_t>(current_ % grid_dim_[0]);
  index[1] = static_cast<std::uint32_t>(row % grid_dim_[1]);
  index[2] = static_cast<std::uint32_t>(row / grid_dim_[1]);
  for (; current_ < last && !stop.load(std::memory_order_relaxed); ++current_) {
    if (run_.sanitizer != nullptr) run_.sanitizer->begin_block();
    if (is_simple_) {
      run_rows();
    } else if (!run_warps(stop, failure)) {
      return;
    }
    if (++index[0] < grid_dim_[0]) continue;
    index[0] = 0;
    if (++index[1] < grid_dim_[1]) continue;
    index[1] = 0;
    ++index[2];
  }
}

void BlockRunner::run_rows() {
  const Region region = run_.kernel->states[0].run;
  Block& block = run_.block;
  const std::uint32_t width = block.block_dim[0];
  block.thread = 0;
  for (std::uint32_t z = 0; z < block.block_dim[2]; ++z) {
    for (std::uint32_t y = 0; y < block.block_dim[1]; ++y) {
      if (!run_.kernel->checked) {
        region(&block, nullptr, 0, width, 0, y, z);
        continue;
      }
      for (std::uint32_t x = 0; x < width; ++x, ++block.thread) {
        region(&block, nullptr, 0, 1, x, y, z);
      }
    }
  }
}

bool BlockRunner::run_warps(const std::atomic<bool>& stop, Failure& failure) {
  run_.live = run_.waiting = 0;
  for (WarpRunner& warp : warps_) warp.begin(run_);
  for (std::uint32_t round = 1;; ++round) {
    bool ready = false;
    for (WarpRunner& warp : warps_) {
      if (!warp.is_ready()) continue;
      if (!warp.turn(run_)) [[unlikely]] {
        failure = {Failure::Kind::kFault, describe_bad_mask(run_, warp)};
        return false;
      }
      ready |= warp.is_ready();
    }
    if (run_.live == 0 || stop.load(std::memory_order_relaxed)) return true;
    if (ready) {
      if (round % kRoundsBeforeYield == 0) sched_yield();
    } else if (!release()) {
      failure = {Failure::Kind::kFault, describe_deadlock(run_, warps_)};
      return false;
    }
  }
}

// Lets the threads go that wait at a barrier of the block, if all have come to the same one.
bool BlockRunner::release() {
  if (run_.waiting != run_.live) return false;
  std::uint32_t common = kManySuccessors;
  for (const WarpRunner& warp : warps_) {
    if (warp.live() == 0) continue;
    const std::uint32_t state = warp.common_state();
    if (state == kManySuccessors || (common != kManySuccessors && state != common)) return false;
    common = state;
  }
  const Operation operation = run_.kernel->states[common].operation;
  if (operation != Operation::kNone) reduce_over_block(operation);
  if (run_.sanitizer != nullptr) run_.sanitizer->barrier();
  for (WarpRunner& warp : warps_) warp.release();
  run_.waiting = 0;
  return true;
}

void BlockRunner::reduce_over_block(Operation operation) {
  std::uint64_t set = 0;
  for (WarpRunner& warp : warps_) {
    for (Lanes lane(warp.live()); lane; ++lane) set += warp.values()[*lane] != 0;
  }
  std::uint64_t result = set;
  if (operation == Operation::kBlockAnd) result = set == run_.live;
  if (operation == Operation::kBlockOr) result = set != 0;
  for (WarpRunner& warp : warps_) {
    for (Lanes lane(warp.live()); lane; ++lane) warp.values()[*lane] = result;
  }
}

}  // namespace fms::cpu
