#pragma once

// Internal. Not installed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "runtime/device.h"

namespace fms::cpu {

// What this process has of the CPU device. One, never destroyed; a child of fork() has its copy,
// taken while no other thread was changing it.
struct ProcessState {
  std::mutex opening;                    // held while a device is opened; taken before `objects`
  std::shared_ptr<const Driver> driver;  // guarded by opening; null: not opened yet
  std::weak_ptr<Device> device;          // guarded by opening

  std::mutex objects;
  std::map<std::uintptr_t, std::size_t> allocations;         // guarded by objects; sizes by address
  std::deque<std::pair<std::uintptr_t, std::size_t>> freed;  // the last ones; guarded by objects
  std::vector<std::pair<std::uintptr_t, std::size_t>> lent;  // LentMemory; guarded by objects
  std::atomic<std::uint64_t> freed_count{0};                 // of both
  std::set<const void*> streams;                             // guarded by objects
  std::set<const void*> events;                              // guarded by objects
};

ProcessState& process_state();

}  // namespace fms::cpu
