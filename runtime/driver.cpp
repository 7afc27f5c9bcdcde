#include "runtime/driver.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <vector>

namespace fms {
namespace {

constexpr std::string_view kForked =
    "CUDA was initialised before fork(), and the driver doesn't work in the child; start the "
    "process with spawn or exec, or use no device before the fork";

// The process that called cuInit. Read without a lock, since a child may have been forked while
// another thread held it.
std::atomic<pid_t> initialised_by{0};

struct Shared {
  std::mutex mutex;
  std::string path;                       // guarded by mutex; empty: search
  std::shared_ptr<const Driver> current;  // guarded by mutex; null: not opened yet
};

// Never destroyed: devices in static variables may outlive any order of destruction.
Shared& shared() {
  static Shared& instance = *new Shared;
  return instance;
}

// The loader's own search comes first. The other two are where container runtimes and WSL put the
// driver without telling the loader.
std::vector<std::string> candidates(const std::string& path) {
  if (!path.empty()) return {path};
  return {"libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"};
}

Result<void*> open_library(const std::string& path) {
  std::string tried;
  for (const std::string& candidate : candidates(path)) {
    if (void* library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* reason = dlerror();
    tried += fmt::format("{}{}", tried.empty() ? "" : "; ", reason ? reason : candidate);
  }
  return fail(
      ErrorCode::kUnavailable,
      fmt::format("can't load the CUDA driver: tried {}; install the NVIDIA driver, or start "
                  "the container with its GPUs (docker run --gpus all)",
                  tried));
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

#define FMS_SYMBOL_(name) #name
#define FMS_SYMBOL(name) FMS_SYMBOL_(name)

// The name of the first function that the library lacks, or null.
const char* find_functions(void* library, DriverFunctions& call) {
  const char* missing = nullptr;
  const auto find = [&]<typename Function>(Function& function, const char* symbol) {
    function = reinterpret_cast<Function>(dlsym(library, symbol));
    if (!function && !missing) missing = symbol;
  };
#define FMS_FIND(name) find(call.name, FMS_SYMBOL(name));
  FMS_DRIVER_FUNCTIONS(FMS_FIND)
#undef FMS_FIND
  find(call.event_elapsed_time, "cuEventElapsedTime");
  call.func_get_param_info =
      reinterpret_cast<decltype(call.func_get_param_info)>(dlsym(library, "cuFuncGetParamInfo"));
  call.func_load = reinterpret_cast<decltype(call.func_load)>(dlsym(library, "cuFuncLoad"));
  return missing;
}

std::string file_of(void* function, const std::string& otherwise) {
  Dl_info info{};
  return dladdr(function, &info) && info.dli_fname ? info.dli_fname : otherwise;
}

std::string_view advice_for_initialisation(CUresult code) {
  switch (code) {
    case CUDA_ERROR_STUB_LIBRARY:
      return "this is a toolkit's stub, not the driver; take it off the library path";
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return "the library and the kernel module are of different versions; reboot, or reload the "
             "module";
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return "the cuda-compat package doesn't support this device; take it off the library path";
    default:
      return "check that nvidia-smi works for this user";
  }
}

std::string_view advice(CUresult code) {
  switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return "; free device memory or make the problem smaller";
    case CUDA_ERROR_INVALID_HANDLE:
    case CUDA_ERROR_INVALID_CONTEXT:
      return "; is the stream or event of this device, and still alive?";
    case CUDA_ERROR_DEINITIALIZED:
      return "; the driver has shut down, since the process is exiting";
    default:
      return "";
  }
}

bool was_forked() {
  const pid_t owner = initialised_by.load(std::memory_order_acquire);
  return owner != 0 && owner != getpid();
}

}  // namespace

ErrorCode classify(CUresult code) {
  // 900 to 908 are the ways in which a call can disagree with a graph capture.
  if (code >= CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED &&
      code <= CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD) {
    return ErrorCode::kCapturing;
  }
  switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return ErrorCode::kOutOfMemory;
    case CUDA_ERROR_NOT_SUPPORTED:
    case CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER:
      return ErrorCode::kUnsupported;
    default:
      return ErrorCode::kDriver;
  }
}

bool is_sticky(CUresult code) {
  switch (code) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_TENSOR_MEMORY_LEAK:
      return true;
    default:
      return false;
  }
}

bool Driver::usable() const { return !was_forked(); }

Result<std::shared_ptr<const Driver>> Driver::get() {
  if (was_forked()) return fail(ErrorCode::kUnavailable, std::string(kForked));
  Shared& state = shared();
  const std::lock_guard lock(state.mutex);
  if (!state.current) {
    FMS_TRY(state.current, open());
  }
  return state.current;
}

// The caller holds the lock.
Result<std::shared_ptr<const Driver>> Driver::open() {
  FMS_TRY(void* library, open_library(shared().path));
  const std::shared_ptr<Driver> driver(new Driver);
  const char* missing = find_functions(library, driver->call);
  const DriverFunctions& call = driver->call;
  if (call.cuInit) driver->path_ = file_of(reinterpret_cast<void*>(call.cuInit), "libcuda.so.1");
  if (call.cuDriverGetVersion) call.cuDriverGetVersion(&driver->version_);
  if (missing) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("can't use the CUDA driver {} (CUDA {}): it has no {}; install a driver "
                    "for CUDA 12.0 or later (R525)",
                    driver->path_, version_text(driver->version_), missing));
  }
  FMS_TRY_VOID(driver->initialise());
  return driver;
}

Result<void> Driver::initialise() {
  const pid_t before = initialised_by.exchange(getpid(), std::memory_order_acq_rel);
  const CUresult code = call.cuInit(0);
  if (code == CUDA_SUCCESS) return {};
  if (code == CUDA_ERROR_NO_DEVICE) {
    has_devices_ = false;
    return {};
  }
  // A failed cuInit leaves nothing behind that a fork could break.
  initialised_by.store(before, std::memory_order_release);
  Error failure = error(
      code, "cuInit",
      fmt::format("can't initialise the CUDA driver {} (CUDA {})", path_, version_text(version_)));
  failure.code = ErrorCode::kUnavailable;
  failure.message += fmt::format("; {}", advice_for_initialisation(code));
  return std::unexpected(std::move(failure));
}

Error Driver::error(CUresult code, std::string_view function, std::string_view what) const {
  if (was_forked()) return {ErrorCode::kUnavailable, fmt::format("{}: {}", what, kForked), {}};
  const char* name = nullptr;
  const char* meaning = nullptr;
  call.cuGetErrorName(code, &name);
  call.cuGetErrorString(code, &meaning);
  const std::string said = fmt::format("{} ({})", name ? name : fmt::format("error {}", int(code)),
                                       meaning ? meaning : "unknown to this driver");
  if (is_sticky(code)) {
    return {ErrorCode::kDriver,
            fmt::format("{}: an earlier kernel on this device failed: {}, as {} reports; this "
                        "process can't use the device any more: start it again, under "
                        "compute-sanitizer to find the kernel",
                        what, said, function),
            {}};
  }
  return {classify(code), fmt::format("{}: {}: {}{}", what, function, said, advice(code)), {}};
}

Error Driver::load_error(CUresult code, std::string_view function, std::string_view what) const {
  Error failure = error(code, function, what);
  switch (code) {
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
      failure.code = ErrorCode::kUnsupported;
      failure.message += "; compile it for this device's architecture";
      break;
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
      failure.code = ErrorCode::kUnsupported;
      failure.message +=
          "; the compiler is newer than the driver: load a cubin, or update the driver";
      break;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_INVALID_PTX:
      failure.code = ErrorCode::kCorrupt;
      failure.message += "; the object code is damaged: compile it again";
      break;
    case CUDA_ERROR_NOT_FOUND:
      failure.code = ErrorCode::kNotFound;
      break;
    default:
      break;
  }
  return failure;
}

Result<CUlibrary> Driver::load(const ObjectCode& object, std::string_view what) const {
  // cuLibraryLoadData takes no length: it would read past the end of anything shorter than a
  // header.
  if (object.bytes.size() < 64) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: it is too short to be object code; compile it again", what));
  }
  // PTX is a C string to the driver.
  std::vector<std::byte> text;
  const std::byte* image = object.bytes.data();
  if (object.format == ObjectFormat::kPtx) {
    text = object.bytes;
    text.push_back(std::byte{0});
    image = text.data();
  }
  CUlibrary handle = nullptr;
  if (const CUresult code =
          call.cuLibraryLoadData(&handle, image, nullptr, nullptr, 0, nullptr, nullptr, 0)) {
    return std::unexpected(load_error(code, "cuLibraryLoadData", what));
  }
  return handle;
}

void set_driver_path_for_testing(std::string path) {
  Shared& state = shared();
  const std::lock_guard lock(state.mutex);
  state.path = std::move(path);
  state.current = nullptr;
}

}  // namespace fms
