#pragma once

// Internal: the one place that includes <cuda.h>. Not installed.

#include <cuda.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "compiler/object_code.h"
#include "compiler/result.h"

#if CUDA_VERSION < 12000
#error "cuda.h of CUDA 12.0 or later is needed, for cuLibraryLoadData and cuLaunchKernelEx"
#endif

namespace fms {

// Every driver function that the runtime calls. cuda.h's own macros turn a name into the symbol of
// the ABI that its declaration describes (cuMemAlloc into cuMemAlloc_v2): signature and symbol
// can't disagree.
#define FMS_DRIVER_FUNCTIONS(X)                  \
  X(cuInit)                                      \
  X(cuDriverGetVersion)                          \
  X(cuGetErrorName)                              \
  X(cuGetErrorString)                            \
  X(cuDeviceGetCount)                            \
  X(cuDeviceGet)                                 \
  X(cuDeviceGetName)                             \
  X(cuDeviceGetAttribute)                        \
  X(cuDeviceTotalMem)                            \
  X(cuDevicePrimaryCtxRetain)                    \
  X(cuDevicePrimaryCtxRelease)                   \
  X(cuDevicePrimaryCtxGetState)                  \
  X(cuCtxGetCurrent)                             \
  X(cuCtxSetCurrent)                             \
  X(cuCtxSynchronize)                            \
  X(cuStreamCreate)                              \
  X(cuStreamDestroy)                             \
  X(cuStreamSynchronize)                         \
  X(cuStreamQuery)                               \
  X(cuStreamWaitEvent)                           \
  X(cuStreamIsCapturing)                         \
  X(cuEventCreate)                               \
  X(cuEventDestroy)                              \
  X(cuEventRecord)                               \
  X(cuEventSynchronize)                          \
  X(cuMemAlloc)                                  \
  X(cuMemFree)                                   \
  X(cuMemcpyHtoDAsync)                           \
  X(cuMemcpyDtoHAsync)                           \
  X(cuMemsetD8Async)                             \
  X(cuLibraryLoadData)                           \
  X(cuLibraryUnload)                             \
  X(cuLibraryGetKernel)                          \
  X(cuKernelGetFunction)                         \
  X(cuFuncGetAttribute)                          \
  X(cuFuncSetAttribute)                          \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor) \
  X(cuLaunchKernelEx)                            \
  X(cuTensorMapEncodeTiled)

// The driver's functions by name. All are there, but for those that say otherwise.
struct DriverFunctions {
#define FMS_DECLARE(name) decltype(&::name) name = nullptr;
  FMS_DRIVER_FUNCTIONS(FMS_DECLARE)
#undef FMS_DECLARE

  // cuda.h of 12.8 and later asks for cuEventElapsedTime_v2, which older drivers don't have; every
  // driver has this one.
  CUresult (*event_elapsed_time)(float*, CUevent, CUevent) = nullptr;
  // cuFuncGetParamInfo: since CUDA 12.4; null in an older driver.
  CUresult (*func_get_param_info)(CUfunction, std::size_t, std::size_t*, std::size_t*) = nullptr;
  // cuFuncLoad: the same.
  CUresult (*func_load)(CUfunction) = nullptr;
};

// What a device is driven through: the CUDA driver, opened at run time (nothing links it), or that
// of the CPU (runtime/cpu/cpu_driver.h), which has the same functions.
//
// One of each per process, initialised once and never closed. Immutable and thread-safe.
class Driver {
 public:
  // CUDA's. kUnavailable if there is no driver (the message lists what was tried), it is too old,
  // it can't be initialised, or it was initialised before a fork() that made this process. Tries
  // again at each call until it has succeeded.
  static Result<std::shared_ptr<const Driver>> get();
  virtual ~Driver() = default;

  DriverFunctions call;

  int version() const { return version_; }           // 13000 for 13.0
  const std::string& path() const { return path_; }  // the file that was really opened
  bool has_devices() const { return has_devices_; }  // false: cuInit said CUDA_ERROR_NO_DEVICE
  virtual bool is_cpu() const { return false; }
  // False in a child of the process that initialised CUDA's driver: it can't be called there, not
  // even to release something.
  virtual bool usable() const;

  // What went wrong when `call` returned `code`, while doing `what` ("can't allocate 8 bytes on
  // cuda:0"). kOutOfMemory, kCapturing and kUnsupported where the driver says so; a failure that an
  // earlier kernel left behind is called that; else kDriver.
  virtual Error error(CUresult code, std::string_view call, std::string_view what) const;

  // The same where the call is about an image. Loading may be lazy: then the same errors come from
  // asking for the kernel. kUnsupported, kCorrupt and kNotFound where the code says so.
  Error load_error(CUresult code, std::string_view call, std::string_view what) const;

  // Nothing, or error() of the text that `describe` gives. It isn't asked on success.
  template <typename Describe>
  Result<void> check(CUresult code, std::string_view function, Describe&& describe) const {
    if (code == CUDA_SUCCESS) [[likely]] {
      return {};
    }
    return std::unexpected(error(code, function, std::forward<Describe>(describe)()));
  }

  // Loads an image into the current context, for cuLibraryUnload to unload. `what` says so in the
  // message of a failure, which is as load_error() has it.
  virtual Result<CUlibrary> load(const ObjectCode& object, std::string_view what) const;

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

 protected:
  Driver() = default;
  std::string path_;

 private:
  static Result<std::shared_ptr<const Driver>> open();
  Result<void> initialise();

  int version_ = 0;
  bool has_devices_ = true;
};

// What kind of failure `code` is.
ErrorCode classify(CUresult code);

// True for the errors that stay: after one of them the process can't use the device any more.
bool is_sticky(CUresult code);

// From now on Driver::get() opens this file instead of searching; empty: searches again. Devices
// that are open keep the driver that they have.
void set_driver_path_for_testing(std::string path);

}  // namespace fms
