#pragma once

#include <chrono>
#include <filesystem>
#include <utility>

#include "compiler/result.h"

namespace fms::cache {

// What a store's lock file keeps to one at a time, over all threads and processes: one byte each.
enum class Guarded {
  kReplacing = 0,   // making kernels.db, or moving a damaged one aside
  kCollecting = 1,  // evicting
};

// A lock on one byte of a file, held until destruction. The system releases it when the process
// ends, however it ends, so a crash blocks nobody.
class LockFile {
 public:
  // Makes `file` (0600) if need be. kTimeout: another holds it, and didn't let go for `patience`.
  static Result<LockFile> acquire(const std::filesystem::path& file, Guarded what,
                                  std::chrono::milliseconds patience);
  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace fms::cache
