#include "runtime/cpu/streams.h"

#include <atomic>
#include <chrono>
#include <memory>

#include "runtime/cpu/process_state.h"
#include "runtime/cpu/symbols.h"

namespace fms::cpu {
namespace {

struct StreamObject {
  char unused = 0;  // its address is all there is to it
};

struct EventObject {
  std::atomic<std::int64_t> recorded_ns{0};  // 0: not recorded
};

// A new object, known by its address.
template <typename Object, typename Handle>
CUresult create(std::set<const void*> ProcessState::*known, Handle* handle) {
  auto object = std::make_unique<Object>();
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  (state.*known).insert(object.get());
  *handle = reinterpret_cast<Handle>(object.release());
  return CUDA_SUCCESS;
}

template <typename Object>
CUresult destroy(std::set<const void*> ProcessState::*known, void* handle) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  if ((state.*known).erase(handle) == 0) return CUDA_ERROR_INVALID_HANDLE;
  delete static_cast<Object*>(handle);
  return CUDA_SUCCESS;
}

EventObject* find_event(CUevent event) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  return state.events.contains(event) ? reinterpret_cast<EventObject*>(event) : nullptr;
}

CUresult create_stream(CUstream* stream, unsigned) {
  return create<StreamObject>(&ProcessState::streams, stream);
}

CUresult destroy_stream(CUstream stream) {
  return destroy<StreamObject>(&ProcessState::streams, stream);
}

CUresult synchronize_stream(CUstream stream) {
  if (!is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
  flush_printed();
  return CUDA_SUCCESS;
}

CUresult wait_for_event(CUstream stream, CUevent event, unsigned) {
  return is_stream(stream) && find_event(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult is_capturing(CUstream stream, CUstreamCaptureStatus* status) {
  *status = CU_STREAM_CAPTURE_STATUS_NONE;
  return is_stream(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult create_event(CUevent* event, unsigned) {
  return create<EventObject>(&ProcessState::events, event);
}

CUresult destroy_event(CUevent event) { return destroy<EventObject>(&ProcessState::events, event); }

CUresult record_event(CUevent event, CUstream stream) {
  EventObject* const object = find_event(event);
  if (!object || !is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  object->recorded_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return CUDA_SUCCESS;
}

CUresult synchronize_event(CUevent event) {
  if (!find_event(event)) return CUDA_ERROR_INVALID_HANDLE;
  flush_printed();
  return CUDA_SUCCESS;
}

CUresult elapsed_time(float* milliseconds, CUevent start, CUevent end) {
  const EventObject* const first = find_event(start);
  const EventObject* const last = find_event(end);
  if (!first || !last || first->recorded_ns == 0 || last->recorded_ns == 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *milliseconds = static_cast<float>(double(last->recorded_ns - first->recorded_ns) / 1e6);
  return CUDA_SUCCESS;
}

}  // namespace

bool is_stream(CUstream stream) {
  if (stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
    return true;
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  return state.streams.contains(stream);
}

void set_stream_functions(DriverFunctions& call) {
  call.cuStreamCreate = create_stream;
  call.cuStreamDestroy = destroy_stream;
  call.cuStreamSynchronize = synchronize_stream;
  call.cuStreamQuery = synchronize_stream;  // work has been done when it returns
  call.cuStreamWaitEvent = wait_for_event;
  call.cuStreamIsCapturing = is_capturing;
  call.cuEventCreate = create_event;
  call.cuEventDestroy = destroy_event;
  call.cuEventRecord = record_event;
  call.cuEventSynchronize = synchronize_event;
  call.event_elapsed_time = elapsed_time;
}

}  // namespace fms::cpu
