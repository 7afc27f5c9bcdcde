#pragma once

// Internal. Not installed.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "compiler/cpu_abi.h"
#include "runtime/cpu/thread_clocks.h"

namespace fms::cpu {

// That a thread has accessed memory at a place in the source; nothing has if there is no site.
struct Moment {
  const AccessSite* site = nullptr;
  std::uint64_t stamp = 0;

  static Moment of(const AccessSite* site, std::uint32_t thread, std::uint64_t time) {
    return {site, time * ThreadClocks::kMostThreads + thread};
  }
  std::uint32_t thread() const {
    return static_cast<std::uint32_t>(stamp % ThreadClocks::kMostThreads);
  }
  std::uint64_t time() const { return stamp / ThreadClocks::kMostThreads; }
};

// The last accesses to a piece of memory.
struct Cell {
  Moment write, synchronizing_write;
  Moment reads[2];  // by different threads
};

// The cells of memory: one for each word of four bytes, and one for each byte of those words of
// which parts have been accessed. Of memory that isn't shared only so much is remembered, then all
// of it is forgotten.
//
// Not thread-safe. May throw std::bad_alloc.
class AccessShadow {
 public:
  // Where the block's shared memory lies.
  void place_shared(std::uintptr_t start, std::size_t bytes);

  // Calls visit(Cell&, the address of its first byte) for what lies in [address, address + bytes)
  // until that returns true. Returns if it has.
  template <typename Visit>
  bool visit(std::uintptr_t address, std::size_t bytes, const Visit& visit_cell) {
    const std::uintptr_t end = address + bytes;
    for (std::uintptr_t at = address; at < end;) {
      Word& word = word_of(at);
      const std::uintptr_t start = at - at % kWordBytes;
      const std::uintptr_t word_end = start + kWordBytes;
      if (at == start && word_end <= end && !word.bytes) {
        if (visit_cell(word.whole, at)) return true;
      } else {
        std::array<Cell, kWordBytes>& cells = bytes_of(word);
        for (std::uintptr_t byte = at; byte < std::min(end, word_end); ++byte) {
          if (visit_cell(cells[byte - start], byte)) return true;
        }
      }
      at = word_end;
    }
    return false;
  }

 private:
  static constexpr std::size_t kWordBytes = 4;
  static constexpr std::size_t kPageWords = 64;
  static constexpr std::size_t kMostPages = 16384;  // some 75 MB of cells, for 4 MB of memory

  struct Word {
    Cell whole;
    std::unique_ptr<std::array<Cell, kWordBytes>> bytes;  // if not null, instead of `whole`
  };
  using Page = std::array<Word, kPageWords>;

  Word& word_of(std::uintptr_t address) {
    const std::uintptr_t offset = address - shared_start_;
    if (offset < shared_bytes_) return shared_[offset / kWordBytes];
    const std::uintptr_t number = address / (kPageWords * kWordBytes);
    if (number != last_number_ || last_page_ == nullptr) find_page(number);
    return (*last_page_)[address / kWordBytes % kPageWords];
  }

  static std::array<Cell, kWordBytes>& bytes_of(Word& word);
  void find_page(std::uintptr_t number);

  std::uintptr_t shared_start_ = 0;
  std::size_t shared_bytes_ = 0;
  std::vector<Word> shared_;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::uintptr_t last_number_ = 0;
  Page* last_page_ = nullptr;
};

}  // namespace fms::cpu
