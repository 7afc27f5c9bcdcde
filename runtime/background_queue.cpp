#include "runtime/background_queue.h"

#include <unistd.h>

#include <utility>

namespace fms {

BackgroundQueue::~BackgroundQueue() {
  if (!shared_) return;
  if (process_ != getpid()) {
    // A forked child: the thread isn't here, so joining it would wait for ever.
    static_cast<void>(thread_.release());
    return;
  }
  shared_->cancel.cancel();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->waiting.clear();
  }
  shared_->changed.notify_all();
  thread_->join();
}

std::shared_ptr<BackgroundQueue::Shared> BackgroundQueue::shared_for_this_process() {
  const std::lock_guard lock(mutex_);
  if (process_ != getpid()) {
    static_cast<void>(thread_.release());
    process_ = getpid();
    shared_ = std::make_shared<Shared>();
    thread_ = std::make_unique<std::thread>(&BackgroundQueue::run, shared_);
  }
  return shared_;
}

void BackgroundQueue::push(Work work) {
  const std::shared_ptr<Shared> shared = shared_for_this_process();
  {
    const std::lock_guard lock(shared->mutex);
    shared->waiting.push_back(std::move(work));
  }
  shared->changed.notify_all();
}

void BackgroundQueue::wait_until_empty() {
  std::shared_ptr<Shared> shared;
  {
    const std::lock_guard lock(mutex_);
    if (process_ != getpid()) return;
    shared = shared_;
  }
  std::unique_lock lock(shared->mutex);
  shared->changed.wait(lock, [&] { return shared->waiting.empty() && !shared->running; });
}

void BackgroundQueue::run(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->stopping || !shared->waiting.empty(); });
    if (shared->stopping) return;
    const Work work = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    shared->running = true;
    lock.unlock();
    work(shared->cancel);
    lock.lock();
    shared->running = false;
    shared->changed.notify_all();
  }
}

}  // namespace fms
