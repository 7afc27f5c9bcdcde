#include "cache/fork_gate.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace fms::cache {
namespace {

// One for the process, since fork() is. Never destroyed: stores may outlive static objects.
struct Gate {
  std::mutex mutex;  // held from before a fork() to after it, on both sides
  std::atomic<int> inside = 0;
  std::vector<ForkGate::Member*> members;  // guarded by `mutex`
};

Gate& gate() {
  static Gate* const the_gate = new Gate;
  return *the_gate;
}

void before_fork() {
  gate().mutex.lock();
  // Polls: a condition variable that has waiters in other threads is unusable in the child.
  while (gate().inside.load(std::memory_order_acquire) != 0)
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  for (ForkGate::Member* member : gate().members) member->close_for_fork();
}

void after_fork() { gate().mutex.unlock(); }

// Not with the first member: a fork during that would find it half registered.
[[maybe_unused]] const int registered = ::pthread_atfork(before_fork, after_fork, after_fork);

}  // namespace

ForkGate::Pass::Pass() {
  const std::lock_guard lock(gate().mutex);
  gate().inside.fetch_add(1, std::memory_order_acquire);
}

ForkGate::Pass::~Pass() { gate().inside.fetch_sub(1, std::memory_order_release); }

void ForkGate::add(Member& member) {
  const std::lock_guard lock(gate().mutex);
  gate().members.push_back(&member);
}

void ForkGate::remove(Member& member) {
  const std::lock_guard lock(gate().mutex);
  std::erase(gate().members, &member);
}

}  // namespace fms::cache
