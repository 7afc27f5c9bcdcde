#include "runtime/cpu/cpu_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/cpu/functions.h"
#include "runtime/cpu/host.h"
#include "runtime/cpu/memory.h"
#include "runtime/cpu/process_state.h"
#include "runtime/cpu/streams.h"
#include "runtime/cpu/symbols.h"

namespace fms::cpu {
namespace {

thread_local CUcontext current = nullptr;

std::string_view meaning(CUresult code) {
  switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return "out of memory; free some or make the problem smaller";
    case CUDA_ERROR_NOT_SUPPORTED:
      return "cpu devices can't do that";
    case CUDA_ERROR_INVALID_HANDLE:
      return "it isn't of this device, or not alive any more, or an event was never recorded";
    case CUDA_ERROR_INVALID_VALUE:
      return "a value is out of range";
    case CUDA_ERROR_NOT_FOUND:
      return "there is no such kernel";
    case CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE:
      return "too many blocks to run all at once";
    default:
      return "it failed";
  }
}

void set_device_functions(DriverFunctions& call) {
  call.cuInit = [](unsigned) { return CUDA_SUCCESS; };
  call.cuDriverGetVersion = [](int* version) {
    *version = 0;
    return CUDA_SUCCESS;
  };
  call.cuGetErrorName = [](CUresult, const char** name) {
    *name = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
  };
  call.cuGetErrorString = [](CUresult code, const char** text) {
    *text = meaning(code).data();  // of a literal, and so with a null behind it
    return CUDA_SUCCESS;
  };
  call.cuDeviceGetCount = [](int* count) {
    *count = 1;
    return CUDA_SUCCESS;
  };
  call.cuDeviceGet = [](CUdevice* device, int) {
    *device = 0;
    return CUDA_SUCCESS;
  };
  call.cuDeviceGetName = [](char* name, int size, CUdevice) {
    const std::string& full = host_info().name;
    const std::size_t length =
        std::min(full.size(), static_cast<std::size_t>(std::max(size, 1)) - 1);
    std::memcpy(name, full.data(), length);
    name[length] = '\0';
    return CUDA_SUCCESS;
  };
  // What Device::info() has is read by other means, and nothing else is true of a processor.
  call.cuDeviceGetAttribute = [](int*, CUdevice_attribute, CUdevice) {
    return CUDA_ERROR_NOT_SUPPORTED;
  };
  call.cuDeviceTotalMem = [](std::size_t* bytes, CUdevice) {
    *bytes = static_cast<std::size_t>(host_info().memory_bytes);
    return CUDA_SUCCESS;
  };
}

void set_context_functions(DriverFunctions& call) {
  call.cuDevicePrimaryCtxRetain = [](CUcontext* retained, CUdevice) {
    *retained = static_cast<CUcontext>(context());
    return CUDA_SUCCESS;
  };
  call.cuDevicePrimaryCtxRelease = [](CUdevice) { return CUDA_SUCCESS; };
  call.cuDevicePrimaryCtxGetState = [](CUdevice, unsigned* flags, int* active) {
    *flags = 0;
    *active = 1;
    return CUDA_SUCCESS;
  };
  call.cuCtxGetCurrent = [](CUcontext* got) {
    *got = current;
    return CUDA_SUCCESS;
  };
  call.cuCtxSetCurrent = [](CUcontext set) {
    current = set;
    return CUDA_SUCCESS;
  };
  call.cuCtxSynchronize = [] {
    flush_printed();
    return CUDA_SUCCESS;
  };
}

}  // namespace

CpuDriver::CpuDriver(std::shared_ptr<const LlvmLibrary> llvm) : llvm_(std::move(llvm)) {
  path_ = llvm_->path();
  set_device_functions(call);
  set_context_functions(call);
  set_memory_functions(call);
  set_stream_functions(call);
  set_function_functions(call);
}

Error CpuDriver::error(CUresult code, std::string_view function, std::string_view what) const {
  if (is_sticky(code)) return {ErrorCode::kDriver, fmt::format("{}: {}", what, last_failure()), {}};
  return {classify(code), fmt::format("{}: {} of the CPU: {}", what, function, meaning(code)), {}};
}

Result<CUlibrary> CpuDriver::load(const ObjectCode& object, std::string_view what) const {
  return load_library(llvm_, object, what);
}

void* context() {
  static char the_one = 0;
  return &the_one;
}

Result<std::shared_ptr<Device>> open_device(
    const std::function<std::shared_ptr<Device>(std::shared_ptr<const Driver>)>& make) {
  ProcessState& state = process_state();
  // Held throughout, so that threads which open the device share what one of them opened.
  const std::lock_guard lock(state.opening);
  if (auto device = state.device.lock(); device && &device->driver() == state.driver.get()) {
    return device;
  }
  if (!state.driver) {
    FMS_TRY(std::shared_ptr<const LlvmLibrary> llvm, open_llvm());
    state.driver = std::make_shared<CpuDriver>(std::move(llvm));
  }
  std::shared_ptr<Device> device = make(state.driver);
  state.device = device;
  return device;
}

void set_llvm_for_testing(std::shared_ptr<const LlvmLibrary> llvm) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.opening);
  state.driver = llvm ? std::make_shared<const CpuDriver>(std::move(llvm)) : nullptr;
}

}  // namespace fms::cpu
