#include "runtime/cpu/process_state.h"

#include <pthread.h>

namespace fms::cpu {
namespace {

void before_fork() {
  process_state().opening.lock();
  process_state().objects.lock();
}

void after_fork() {
  process_state().objects.unlock();
  process_state().opening.unlock();
}

// Not at the first use: a fork during that would find it half made.
[[maybe_unused]] const int registered = pthread_atfork(before_fork, after_fork, after_fork);

}  // namespace

ProcessState& process_state() {
  static ProcessState& instance = *new ProcessState;
  return instance;
}

}  // namespace fms::cpu
