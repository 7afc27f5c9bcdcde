// Devices, contexts, streams, events and memory of the fake driver.

#include <unistd.h>

#include <cstring>

#include "tests/runtime/fake_driver/state.h"

using namespace fms::fake;  // NOLINT: this file defines cuda.h's functions and nothing else

// By its first name, which every driver has: cuda.h may rename it to a second version.
#undef cuEventElapsedTime
extern "C" CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end);

namespace {

int attribute_of(const DeviceFacts& facts, CUdevice_attribute attribute) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return facts.capability_major;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return facts.capability_minor;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return facts.sm_count;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return 2048;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return facts.smem_per_sm;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return facts.smem_per_block_optin;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
      return kReservedSmemBytes;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return facts.l2_bytes;
    default:
      return 0;
  }
}

// Where `address` and the bytes after it are, if they are all in one allocation.
std::byte* find_memory(State& fake, CUdeviceptr address, std::size_t size) {
  auto after = fake.allocations.upper_bound(address);
  if (after == fake.allocations.begin()) return nullptr;
  const auto& [start, bytes] = *std::prev(after);
  const std::size_t offset = address - start;
  if (offset > bytes->size() || size > bytes->size() - offset) return nullptr;
  return bytes->data() + offset;
}

// The current device for a call that works on `stream`; synchronising calls fail in a capture.
CUresult check_call(State& fake, CUstream stream, bool synchronises) {
  const int device = current_device();
  if (device < 0) return CUDA_ERROR_INVALID_CONTEXT;
  bool capturing = false;
  if (const CUresult code = fake.check_stream(stream, device, &capturing)) return code;
  if (synchronises && capturing) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return CUDA_SUCCESS;
}

template <typename Map, typename Handle>
bool contains(const Map& map, Handle handle) {
  return map.contains(reinterpret_cast<typename Map::key_type>(handle));
}

}  // namespace

CUresult cuInit(unsigned) {
  FAKE_ENTER("cuInit");
  if (fake.device_count == 0) return CUDA_ERROR_NO_DEVICE;
  fake.initialised_by = getpid();
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  *version = 12040;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult code, const char** name) {
#define FAKE_NAME(code_name) \
  case code_name:            \
    *name = #code_name;      \
    return CUDA_SUCCESS
  switch (code) {
    FAKE_NAME(CUDA_ERROR_INVALID_VALUE);
    FAKE_NAME(CUDA_ERROR_OUT_OF_MEMORY);
    FAKE_NAME(CUDA_ERROR_NOT_INITIALIZED);
    FAKE_NAME(CUDA_ERROR_DEINITIALIZED);
    FAKE_NAME(CUDA_ERROR_STUB_LIBRARY);
    FAKE_NAME(CUDA_ERROR_INVALID_IMAGE);
    FAKE_NAME(CUDA_ERROR_INVALID_CONTEXT);
    FAKE_NAME(CUDA_ERROR_NO_BINARY_FOR_GPU);
    FAKE_NAME(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    FAKE_NAME(CUDA_ERROR_INVALID_HANDLE);
    FAKE_NAME(CUDA_ERROR_NOT_FOUND);
    FAKE_NAME(CUDA_ERROR_NOT_READY);
    FAKE_NAME(CUDA_ERROR_ILLEGAL_ADDRESS);
    FAKE_NAME(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    FAKE_NAME(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    FAKE_NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    default:
      *name = nullptr;
      return CUDA_ERROR_INVALID_VALUE;
  }
#undef FAKE_NAME
}

CUresult cuGetErrorString(CUresult code, const char** meaning) {
  *meaning = code == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "something went wrong";
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  FAKE_ENTER("cuDeviceGetCount");
  *count = fake.device_count;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  FAKE_ENTER("cuDeviceGet");
  if (ordinal < 0 || ordinal >= fake.device_count) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  FAKE_ENTER("cuDeviceGetName");
  std::strncpy(name, kDevices.at(static_cast<std::size_t>(device)).name,
               static_cast<std::size_t>(length));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  FAKE_ENTER("cuDeviceGetAttribute");
  *value = attribute_of(kDevices.at(static_cast<std::size_t>(device)), attribute);
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice) {
  FAKE_ENTER("cuDeviceTotalMem");
  *bytes = kMemoryBytes;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  FAKE_ENTER("cuDevicePrimaryCtxRetain");
  FakePrimary& primary = fake.contexts.at(static_cast<std::size_t>(device));
  ++primary.retained;
  *context = reinterpret_cast<CUcontext>(&primary);
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  FAKE_ENTER("cuDevicePrimaryCtxRelease");
  FakePrimary& primary = fake.contexts.at(static_cast<std::size_t>(device));
  if (primary.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  --primary.retained;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  FAKE_ENTER("cuDevicePrimaryCtxGetState");
  *flags = 0;
  *active = fake.contexts.at(static_cast<std::size_t>(device)).retained > 0;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  FAKE_ENTER("cuCtxGetCurrent");
  *context = current_context();
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  FAKE_ENTER("cuCtxSetCurrent");
  current_context() = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
  FAKE_ENTER("cuCtxSynchronize");
  if (current_device() < 0) return CUDA_ERROR_INVALID_CONTEXT;
  return fake.any_capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* stream, unsigned) {
  FAKE_ENTER("cuStreamCreate");
  if (current_device() < 0) return CUDA_ERROR_INVALID_CONTEXT;
  auto made = std::make_unique<FakeStream>(FakeStream{current_device(), false});
  FakeStream* const handle = made.get();
  fake.streams.emplace(handle, std::move(made));
  *stream = reinterpret_cast<CUstream>(handle);
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream) {
  FAKE_ENTER("cuStreamDestroy");
  return fake.streams.erase(reinterpret_cast<FakeStream*>(stream)) ? CUDA_SUCCESS
                                                                   : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuStreamSynchronize(CUstream stream) {
  FAKE_ENTER("cuStreamSynchronize");
  return check_call(fake, stream, true);
}

CUresult cuStreamQuery(CUstream stream) {
  FAKE_ENTER("cuStreamQuery");
  return check_call(fake, stream, true);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  FAKE_ENTER("cuStreamWaitEvent");
  if (!contains(fake.events, event)) return CUDA_ERROR_INVALID_HANDLE;
  return check_call(fake, stream, false);
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  FAKE_ENTER("cuStreamIsCapturing");
  bool capturing = false;
  if (const CUresult code = fake.check_stream(stream, current_device(), &capturing)) return code;
  *status = capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned) {
  FAKE_ENTER("cuEventCreate");
  if (current_device() < 0) return CUDA_ERROR_INVALID_CONTEXT;
  auto made = std::make_unique<FakeEvent>(FakeEvent{current_device(), -1});
  FakeEvent* const handle = made.get();
  fake.events.emplace(handle, std::move(made));
  *event = reinterpret_cast<CUevent>(handle);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
  FAKE_ENTER("cuEventDestroy");
  return fake.events.erase(reinterpret_cast<FakeEvent*>(event)) ? CUDA_SUCCESS
                                                                : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  FAKE_ENTER("cuEventRecord");
  if (!contains(fake.events, event)) return CUDA_ERROR_INVALID_HANDLE;
  FakeEvent& record = *reinterpret_cast<FakeEvent*>(event);
  if (const CUresult code = fake.check_stream(stream, record.device)) return code;
  record.recorded_at = ++fake.ticks;
  return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) {
  FAKE_ENTER("cuEventSynchronize");
  return contains(fake.events, event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

// A tick is a millisecond.
CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  FAKE_ENTER("cuEventElapsedTime");
  if (!contains(fake.events, start) || !contains(fake.events, end))
    return CUDA_ERROR_INVALID_HANDLE;
  const int from = reinterpret_cast<FakeEvent*>(start)->recorded_at;
  const int to = reinterpret_cast<FakeEvent*>(end)->recorded_at;
  if (from < 0 || to < 0) return CUDA_ERROR_INVALID_HANDLE;
  *milliseconds = static_cast<float>(to - from);
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* address, std::size_t bytes) {
  FAKE_ENTER("cuMemAlloc");
  if (current_device() < 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (fake.any_capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > kMemoryBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  auto memory = std::make_unique<std::vector<std::byte>>(bytes);
  *address = reinterpret_cast<CUdeviceptr>(memory->data());
  fake.allocations.emplace(*address, std::move(memory));
  return CUDA_SUCCESS;
}

CUresult cuMemFree(CUdeviceptr address) {
  FAKE_ENTER("cuMemFree");
  return fake.allocations.erase(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  FAKE_ENTER("cuMemcpyHtoDAsync");
  if (const CUresult code = check_call(fake, stream, false)) return code;
  std::byte* memory = find_memory(fake, to, bytes);
  if (!memory) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(memory, from, bytes);
  return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  FAKE_ENTER("cuMemcpyDtoHAsync");
  if (const CUresult code = check_call(fake, stream, false)) return code;
  const std::byte* memory = find_memory(fake, from, bytes);
  if (!memory) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, memory, bytes);
  return CUDA_SUCCESS;
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  FAKE_ENTER("cuMemsetD8Async");
  if (const CUresult code = check_call(fake, stream, false)) return code;
  std::byte* memory = find_memory(fake, to, count);
  if (!memory) return CUDA_ERROR_INVALID_VALUE;
  // What is larger is there to empty an L2 cache, and nobody reads it.
  constexpr std::size_t kMost = std::size_t{128} << 20;
  if (count <= kMost) std::memset(memory, value, count);
  return CUDA_SUCCESS;
}
