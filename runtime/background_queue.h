#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "compiler/compiler.h"

namespace fms {

// Work for later, done in order by one thread that starts with the first piece. One is enough:
// NVRTC compiles one program at a time in a process.
//
// Thread-safe. In a forked child the parent's work is forgotten and a new thread starts when
// needed.
class BackgroundQueue {
 public:
  using Work = std::function<void(const CancelToken&)>;

  BackgroundQueue() = default;
  ~BackgroundQueue();  // cancels what runs, drops what waits
  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  void push(Work work);
  void wait_until_empty();

 private:
  // Held by the thread too, so that a forked child can leave the parent's behind whole.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Work> waiting;  // guarded by mutex
    bool running = false;      // guarded by mutex
    bool stopping = false;     // guarded by mutex
    CancelToken cancel;
  };
  static void run(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_for_this_process();

  std::mutex mutex_;
  std::shared_ptr<Shared> shared_;       // guarded by mutex_
  std::unique_ptr<std::thread> thread_;  // guarded by mutex_
  pid_t process_ = -1;                   // guarded by mutex_
};

}  // namespace fms
