#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "compiler/compiler.h"
#include "compiler/digest.h"

namespace fms {

// Lets one process at a time work on a key, among all that use the same folder: a byte of one lock
// file for each key. The kernel drops a lock with the process that held it, so a crash hands the
// work to the next. The file is never deleted and holds at most 4 MiB of who-is-working notes.
//
// Where locks aren't supported every acquire() succeeds at once: work may be done twice, never not
// at all.
//
// Thread-safe; threads of one process don't exclude each other (SingleFlight does that).
class BuildLocks {
 public:
  // Holds the lock until destroyed.
  class Held {
   public:
    Held() = default;
    ~Held();
    Held(Held&& other) noexcept;
    Held& operator=(Held&& other) noexcept;

   private:
    friend class BuildLocks;
    Held(BuildLocks* locks, std::int64_t offset) : locks_(locks), offset_(offset) {}

    BuildLocks* locks_ = nullptr;
    std::int64_t offset_ = 0;
  };

  struct Outcome {
    Held held;
    bool acquired = false;  // false: patience ran out, or cancelled
    bool waited = false;    // someone else held it at first
  };

  // `folder` is made if needed (0700). An empty folder, or one that can't be used, means no locks.
  explicit BuildLocks(std::filesystem::path folder);
  ~BuildLocks();
  BuildLocks(const BuildLocks&) = delete;
  BuildLocks& operator=(const BuildLocks&) = delete;

  // The folder for this user on this node: $XDG_RUNTIME_DIR/flashmoe-science, or one in /dev/shm;
  // else `fallback`. Refuses folders of other users. Node-local, since locks on network file
  // systems hang.
  static std::filesystem::path default_folder(const std::filesystem::path& fallback);

  // Waits until the lock is ours. `note` is what others are told; `waiting` is called now and then
  // with theirs and the time waited so far.
  Outcome acquire(const Digest& key, std::string_view note, std::chrono::milliseconds patience,
                  const CancelToken& cancel,
                  const std::function<void(std::string_view, std::chrono::milliseconds)>& waiting);

 private:
  int descriptor();  // opens the file, anew in a forked child; -1: no locks

  const std::filesystem::path folder_;
  std::mutex mutex_;
  int fd_ = -1;           // guarded by mutex_
  pid_t opened_by_ = -1;  // guarded by mutex_
};

}  // namespace fms
