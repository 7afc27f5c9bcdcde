#pragma once

// Internal. Not installed.

#include <condition_variable>
#include <functional>
#include <mutex>

namespace fms::cpu {

// The threads that run blocks beside those that launch kernels. They start at the first use, and
// sleep between launches.
//
// Thread-safe.
class ThreadPool {
 public:
  // The process's own, which is never destroyed. A child of fork() has another one, for threads
  // don't come along.
  static ThreadPool& get();

  // How many threads can be at work at once, the caller's among them: usable_cores(), or fewer if
  // the system refused to start some.
  unsigned size();

  // Calls `work` in the calling thread and in up to `threads` - 1 others at once, and returns when
  // all these calls have. Others that haven't begun by the time that the calling thread is through
  // don't begin any more; each of them does begin unless that happens. One run() at a time: the
  // others wait. `work` must not throw or call run().
  void run(unsigned threads, const std::function<void()>& work);

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

 private:
  ThreadPool() = default;
  void start_threads();  // the caller holds running_
  void serve();

  std::mutex running_;  // held by the thread whose work is being done

  std::mutex mutex_;
  std::condition_variable has_work_;
  std::condition_variable is_done_;
  bool started_ = false;                         // guarded by running_
  unsigned threads_ = 0;                         // guarded by running_; without the caller's
  const std::function<void()>* work_ = nullptr;  // guarded by mutex_; null: none
  unsigned wanted_ = 0;                          // guarded by mutex_; threads that may still join
  unsigned busy_ = 0;                            // guarded by mutex_; threads that are at work
};

}  // namespace fms::cpu
