#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_set>

#include "runtime/manifest.h"

namespace fms {

// Appends to a manifest what a run asks for, each entry once; several processes may append to one
// file. A file that can't be written is warned of once, and the run goes on.
//
// Thread-safe.
class ManifestRecorder {
 public:
  explicit ManifestRecorder(std::filesystem::path file);  // an empty path records nothing

  void record(const ManifestEntry& entry);
  bool recording() const { return !file_.empty(); }

 private:
  const std::filesystem::path file_;
  std::mutex mutex_;
  std::unordered_set<std::string> lines_;  // guarded by mutex_; what stands in the file, or will
  bool warned_ = false;                    // guarded by mutex_
};

}  // namespace fms
