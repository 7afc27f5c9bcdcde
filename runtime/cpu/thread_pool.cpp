#include "runtime/cpu/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "runtime/cpu/host.h"

namespace fms::cpu {
namespace {

std::atomic<ThreadPool*> process_pool{nullptr};

// A child of fork() has the parent's pool with no threads in it, and its locks in any state. It is
// forgotten and not destroyed: a condition variable that someone waits for can't be.
void forget_pool() { process_pool.store(nullptr, std::memory_order_relaxed); }

// Not at the pool's first use: a fork during that would find it half registered.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, forget_pool);

// Signals are the program's: none of its handlers shall run in a thread that it doesn't know of.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

ThreadPool& ThreadPool::get() {
  ThreadPool* pool = process_pool.load(std::memory_order_acquire);
  if (pool) return *pool;
  ThreadPool* const made = new ThreadPool;
  if (process_pool.compare_exchange_strong(pool, made, std::memory_order_acq_rel)) return *made;
  delete made;
  return *pool;
}

unsigned ThreadPool::size() {
  const std::lock_guard lock(running_);
  start_threads();
  return threads_ + 1;
}

void ThreadPool::start_threads() {
  if (started_) return;
  started_ = true;
  const SignalsBlocked blocked;
  try {
    for (unsigned i = 1; i < usable_cores(); ++i) {
      std::thread([this] {
        pthread_setname_np(pthread_self(), "fms-cpu");
        serve();
      }).detach();
      ++threads_;
    }
  } catch (const std::system_error&) {
    // With fewer threads it is slower, and that is all.
  }
}

void ThreadPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    has_work_.wait(lock, [this] { return work_ && wanted_ > 0; });
    --wanted_;
    ++busy_;
    const std::function<void()>& work = *work_;
    lock.unlock();
    work();
    lock.lock();
    if (--busy_ == 0) is_done_.notify_one();
  }
}

void ThreadPool::run(unsigned threads, const std::function<void()>& work) {
  const std::lock_guard running(running_);
  start_threads();
  const unsigned others = std::min(threads_, threads > 0 ? threads - 1 : 0);
  if (others > 0) {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    wanted_ = others;
  }
  if (others == threads_ && others > 1) {
    has_work_.notify_all();
  } else {
    for (unsigned i = 0; i < others; ++i) has_work_.notify_one();
  }
  work();
  std::unique_lock lock(mutex_);
  work_ = nullptr;
  wanted_ = 0;
  is_done_.wait(lock, [this] { return busy_ == 0; });
}

}  // namespace fms::cpu
