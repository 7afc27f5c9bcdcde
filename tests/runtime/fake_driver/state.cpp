#include "tests/runtime/fake_driver/state.h"

#include <unistd.h>

namespace fms::fake {

State& state() {
  static State& instance = *new State;
  return instance;
}

CUcontext& current_context() {
  thread_local CUcontext current = nullptr;
  return current;
}

int current_device() {
  const CUcontext current = current_context();
  for (const FakePrimary& context : state().contexts) {
    if (reinterpret_cast<const void*>(current) == &context && context.retained > 0) {
      return context.device;
    }
  }
  return -1;
}

CUresult State::enter(std::string_view function) {
  ++calls[std::string(function)];
  if (const auto found = failures.find(function); found != failures.end()) {
    const CUresult code = found->second.front();
    found->second.pop_front();
    if (found->second.empty()) failures.erase(found);
    return code;
  }
  if (function != "cuInit" && initialised_by != getpid()) return CUDA_ERROR_NOT_INITIALIZED;
  return CUDA_SUCCESS;
}

bool State::any_capturing() const {
  for (const auto& [handle, stream] : streams) {
    if (stream->capturing) return true;
  }
  return default_stream_capturing;
}

CUresult State::check_stream(CUstream stream, int device, bool* capturing) const {
  if (!stream) {
    if (capturing) *capturing = default_stream_capturing;
    return CUDA_SUCCESS;
  }
  const auto found = streams.find(reinterpret_cast<FakeStream*>(stream));
  if (found == streams.end() || found->second->device != device) return CUDA_ERROR_INVALID_HANDLE;
  if (capturing) *capturing = found->second->capturing;
  return CUDA_SUCCESS;
}

}  // namespace fms::fake

namespace fms {

using fake::state;

std::vector<FakeLaunch> fake_launches() {
  const std::lock_guard lock(state().mutex);
  return state().launches;
}

int fake_calls(std::string_view function) {
  const std::lock_guard lock(state().mutex);
  const auto found = state().calls.find(function);
  return found == state().calls.end() ? 0 : found->second;
}

void fake_fail_next(std::string_view function, int code, int count) {
  const std::lock_guard lock(state().mutex);
  auto& queue = state().failures[std::string(function)];
  queue.insert(queue.end(), static_cast<std::size_t>(count), static_cast<CUresult>(code));
}

void fake_on_launch(std::function<void(const FakeLaunch&)> run) {
  const std::lock_guard lock(state().mutex);
  state().on_launch = std::move(run);
}

void fake_set_capturing(StreamView stream, bool capturing) {
  const std::lock_guard lock(state().mutex);
  if (!stream.handle) {
    state().default_stream_capturing = capturing;
    return;
  }
  const auto found = state().streams.find(static_cast<fake::FakeStream*>(stream.handle));
  if (found != state().streams.end()) found->second->capturing = capturing;
}

void fake_set_device_count(int count) {
  const std::lock_guard lock(state().mutex);
  state().device_count = count;
}

FakeLive fake_live() {
  const std::lock_guard lock(state().mutex);
  FakeLive live;
  for (const auto& context : state().contexts) live.contexts += context.retained;
  live.streams = static_cast<int>(state().streams.size());
  live.events = static_cast<int>(state().events.size());
  live.allocations = static_cast<int>(state().allocations.size());
  live.libraries = static_cast<int>(state().libraries.size());
  return live;
}

void fake_reset() {
  const std::lock_guard lock(state().mutex);
  state().launches.clear();
  state().calls.clear();
  state().failures.clear();
  state().on_launch = nullptr;
  state().device_count = 2;
  state().default_stream_capturing = false;
  for (const auto& [handle, stream] : state().streams) stream->capturing = false;
}

int fake_max_dynamic_smem(std::string_view kernel) {
  const std::lock_guard lock(state().mutex);
  int bytes = -1;
  for (const auto& [handle, library] : state().libraries) {
    const auto found = library->functions.find(std::string(kernel));
    if (found != library->functions.end()) bytes = std::max(bytes, found->second->max_dynamic_smem);
  }
  return bytes;
}

}  // namespace fms
