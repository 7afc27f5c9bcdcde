#pragma once

#include <cstddef>
#include <cstdint>

namespace fms {

// Memory of the process that kernels on its CPU may access for as long as this lives, beside what
// its CPU device has allocated: an array of someone else's. Counts only where kernels check their
// addresses (JitOptions::sanitize); without that they may be given any memory.
//
// Thread-safe. Ranges may overlap.
class LentMemory {
 public:
  LentMemory(const void* start, std::size_t bytes);
  ~LentMemory();
  LentMemory(LentMemory&& other) noexcept;
  LentMemory(const LentMemory&) = delete;
  LentMemory& operator=(const LentMemory&) = delete;

 private:
  std::uintptr_t start_;
  std::size_t bytes_;  // 0: lends nothing
};

}  // namespace fms
