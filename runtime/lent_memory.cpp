#include "runtime/lent_memory.h"

#include <algorithm>
#include <utility>

#include "runtime/cpu/process_state.h"

namespace fms {

LentMemory::LentMemory(const void* start, std::size_t bytes)
    : start_(reinterpret_cast<std::uintptr_t>(start)), bytes_(bytes) {
  if (bytes_ == 0) return;
  cpu::ProcessState& state = cpu::process_state();
  const std::lock_guard lock(state.objects);
  state.lent.emplace_back(start_, bytes_);
}

LentMemory::~LentMemory() {
  if (bytes_ == 0) return;
  cpu::ProcessState& state = cpu::process_state();
  const std::lock_guard lock(state.objects);
  state.lent.erase(std::ranges::find(state.lent, std::pair(start_, bytes_)));
  // What checks remember of it holds no more.
  state.freed_count.fetch_add(1, std::memory_order_relaxed);
}

LentMemory::LentMemory(LentMemory&& other) noexcept
    : start_(other.start_), bytes_(std::exchange(other.bytes_, 0)) {}

}  // namespace fms
