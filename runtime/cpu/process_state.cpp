#include "runtime/cpu/process_state.h"

#include <pthread.h>

namespace fms::cpu {
namespace {

// Made once a fork shall find it, and so before there can be anything in it.
ProcessState* state = nullptr;

void before_fork() {
  state->opening.lock();
  state->objects.lock();
}

void after_fork() {
  state->objects.unlock();
  state->opening.unlock();
}

}  // namespace

ProcessState& process_state() {
  static ProcessState& instance = [] -> ProcessState& {
    state = new ProcessState;
    pthread_atfork(before_fork, after_fork, after_fork);
    return *state;
  }();
  return instance;
}

}  // namespace fms::cpu
