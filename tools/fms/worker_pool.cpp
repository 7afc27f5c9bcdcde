#include "tools/fms/worker_pool.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "tools/fms/process.h"

namespace fms::program {
namespace {

struct Work {
  std::size_t item = 0;
  int attempt = 1;
};

struct Worker {
  ChildProcess process;
  std::optional<Work> work;
  std::string unread;  // a line that hasn't ended yet
};

class WorkerPool {
 public:
  WorkerPool(const WorkerPoolOptions& options, std::span<const std::string> items,
             const WorkEvents& events)
      : options_(options), items_(items), events_(events) {
    for (std::size_t i = 0; i < items.size(); ++i) queue_.push_back({i, 1});
  }

  Result<void> run() {
    while (!queue_.empty() || busy() > 0) {
      if (options_.cancelled && options_.cancelled()) return stop();
      FMS_TRY_VOID(hand_out());
      wait_for_answers();
    }
    for (Worker& worker : workers_) worker.process.close_input();
    for (Worker& worker : workers_) worker.process.wait();
    return {};
  }

 private:
  std::size_t busy() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        workers_, [](const Worker& worker) { return worker.work.has_value(); }));
  }

  Result<void> stop() {
    for (Worker& worker : workers_) worker.process.terminate();
    for (Worker& worker : workers_) worker.process.wait();
    return fail(ErrorCode::kCancelled, "stopped before the end");
  }

  Result<void> hand_out() {
    const auto limit = static_cast<std::size_t>(std::max(options_.workers, 1));
    while (workers_.size() < limit && workers_.size() < busy() + queue_.size()) {
      FMS_TRY(ChildProcess process, ChildProcess::start(options_.command));
      workers_.push_back({std::move(process), std::nullopt, {}});
    }
    for (Worker& worker : workers_) {
      if (worker.work || queue_.empty()) continue;
      worker.work = queue_.front();
      queue_.pop_front();
      if (events_.started) events_.started(worker.work->item);
      // A worker that doesn't read has died: the end of its output tells so.
      (void)worker.process.send(items_[worker.work->item] + '\n');
    }
    return {};
  }

  void wait_for_answers() {
    std::vector<pollfd> polled;
    for (const Worker& worker : workers_) polled.push_back({worker.process.output(), POLLIN, 0});
    // The time limit is for a signal that arrives just before poll() begins.
    if (::poll(polled.data(), polled.size(), 500) <= 0) return;
    // From the last to the first, since dead workers are taken out.
    for (std::size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents != 0) read_answer(i);
    }
  }

  void read_answer(std::size_t index) {
    Worker& worker = workers_[index];
    char piece[4096];
    const ssize_t n = ::read(worker.process.output(), piece, sizeof(piece));
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) return bury(index);
    worker.unread.append(piece, static_cast<std::size_t>(n));
    const std::size_t end = worker.unread.find('\n');
    if (end == std::string::npos || !worker.work) return;
    const WorkOutcome outcome{.item = worker.work->item,
                              .answer = worker.unread.substr(0, end),
                              .death = {},
                              .attempts = worker.work->attempt};
    worker.unread.erase(0, end + 1);
    worker.work.reset();
    events_.done(outcome);
  }

  // Takes a dead worker out. Its item goes to the end of the queue, so that it can't hold up
  // others.
  void bury(std::size_t index) {
    const std::string death = to_string(workers_[index].process.wait());
    const std::optional<Work> work = workers_[index].work;
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index));
    if (!work) return;
    if (work->attempt < options_.attempts) {
      queue_.push_back({work->item, work->attempt + 1});
      if (events_.died) events_.died(work->item, death);
    } else {
      events_.done({.item = work->item, .answer = {}, .death = death, .attempts = work->attempt});
    }
  }

  const WorkerPoolOptions& options_;
  const std::span<const std::string> items_;
  const WorkEvents& events_;
  std::deque<Work> queue_;
  std::vector<Worker> workers_;
};

}  // namespace

Result<void> work_through(const WorkerPoolOptions& options, std::span<const std::string> items,
                          const WorkEvents& events) {
  return WorkerPool(options, items, events).run();
}

}  // namespace fms::program
