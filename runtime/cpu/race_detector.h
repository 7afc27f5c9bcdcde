#pragma once

// Internal. Not installed.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "compiler/cpu_abi.h"
#include "runtime/cpu/access_shadow.h"
#include "runtime/cpu/thread_clocks.h"

namespace fms::cpu {

// Two accesses that nothing orders. The write comes first if one of them is none.
struct Race {
  struct Side {
    const AccessSite* site = nullptr;
    std::uint32_t thread = 0;
  };
  Side first, second;
  std::uintptr_t address = 0;  // the first byte that both access
};

// Finds accesses by the threads of one block to the same memory, of which at least one writes and
// one is plain, and which are ordered neither by a barrier nor by an operation of a warp nor by an
// atomic or volatile access to one address. Whatever order threads happen to run in, it finds all
// but a few: of concurrent reads of a word it remembers two. What it finds is a race.
//
// Not thread-safe.
class RaceDetector {
 public:
  // Gets ready for blocks of that many threads with shared memory there.
  void prepare(std::uintptr_t shared, std::size_t shared_bytes, std::uint32_t threads);

  // As the block does them. `lanes` of the warp that begins with that thread.
  void begin_block() { is_active_ = false; }
  void barrier();
  void warp_operation(std::uint32_t first_thread, std::uint32_t lanes);

  // An access by `thread`; the race that it is part of, if it is.
  std::optional<Race> access(std::uint32_t thread, std::uintptr_t address, std::size_t bytes,
                             const AccessSite* site);

 private:
  std::optional<Race> visit(std::uint32_t thread, std::uintptr_t address, std::size_t bytes,
                            const AccessSite* site);
  const Moment* conflict(const Cell& cell, std::uint32_t thread, const AccessSite& site) const;
  void remember(Cell& cell, const Moment& moment) const;
  bool is_before(const Moment& moment, std::uint32_t thread) const;

  std::uintptr_t shared_ = 0;
  std::size_t shared_bytes_ = 0;
  std::uint32_t threads_ = 0;
  bool is_active_ = false;  // there has been an access in this block
  ThreadClocks clocks_;
  AccessShadow shadow_;
};

}  // namespace fms::cpu
