#include "runtime/device.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <mutex>

#include "compiler/llvm_library.h"
#include "runtime/cpu/cpu_driver.h"
#include "runtime/cpu/host.h"
#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<int, std::weak_ptr<Device>> devices;  // by ordinal; guarded by mutex
};

// Never destroyed: a device may be opened or closed by another static variable.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

Result<int> count_devices(const Driver& driver) {
  if (!driver.has_devices()) return 0;
  int count = 0;
  FMS_TRY_VOID(driver.check(driver.call.cuDeviceGetCount(&count), "cuDeviceGetCount",
                            [] { return "can't count CUDA devices"; }));
  return count;
}

// Reads attributes until one fails, and keeps that failure.
class AttributeReader {
 public:
  AttributeReader(const Driver& driver, CUdevice device) : driver_(driver), device_(device) {}

  int read(CUdevice_attribute attribute) {
    int value = 0;
    if (code_ == CUDA_SUCCESS)
      code_ = driver_.call.cuDeviceGetAttribute(&value, attribute, device_);
    return value;
  }
  CUresult code() const { return code_; }

 private:
  const Driver& driver_;
  CUdevice device_;
  CUresult code_ = CUDA_SUCCESS;
};

Result<DeviceInfo> read_info(const Driver& driver, CUdevice device, int ordinal) {
  AttributeReader attributes(driver, device);
  DeviceInfo info;
  info.ordinal = ordinal;
  info.driver_version = driver.version();
  info.compute_capability = 10 * attributes.read(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                            attributes.read(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.sm_count = attributes.read(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.max_threads_per_sm = attributes.read(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  info.registers_per_sm = attributes.read(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  info.smem_per_sm_bytes =
      attributes.read(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  info.max_smem_per_block_bytes =
      attributes.read(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  info.l2_bytes = attributes.read(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  const auto what = [&] { return fmt::format("can't read what cuda:{} is", ordinal); };
  FMS_TRY_VOID(driver.check(attributes.code(), "cuDeviceGetAttribute", what));

  std::array<char, 256> name{};
  FMS_TRY_VOID(driver.check(driver.call.cuDeviceGetName(name.data(), int(name.size()) - 1, device),
                            "cuDeviceGetName", what));
  info.name = name.data();
  std::size_t bytes = 0;
  FMS_TRY_VOID(
      driver.check(driver.call.cuDeviceTotalMem(&bytes, device), "cuDeviceTotalMem", what));
  info.memory_bytes = static_cast<std::int64_t>(bytes);
  return info;
}

}  // namespace

std::string describe(const Device& device) {
  const DeviceInfo& info = device.info();
  return device.is_cpu() ? fmt::format("cpu ({})", info.name)
                         : fmt::format("cuda:{} ({})", info.ordinal, info.name);
}

Result<DeviceScope> DeviceScope::replace(const Device& device, CUcontext previous) {
  const Driver& driver = device.driver();
  const auto context = static_cast<CUcontext>(device.context());
  FMS_TRY_VOID(driver.check(driver.call.cuCtxSetCurrent(context), "cuCtxSetCurrent", [&] {
    return fmt::format("can't make {} current", describe(device));
  }));
  return previous ? DeviceScope(&driver, previous) : DeviceScope();
}

Result<int> Device::count() {
  FMS_TRY(const auto driver, Driver::get());
  return count_devices(*driver);
}

Result<std::shared_ptr<Device>> Device::open(int ordinal) {
  FMS_TRY(std::shared_ptr<const Driver> driver, Driver::get());
  // Held throughout, so that threads which open the same device share what one of them opened.
  const std::lock_guard lock(registry().mutex);
  std::weak_ptr<Device>& known = registry().devices[ordinal];
  if (auto device = known.lock(); device && device->driver_ == driver) return device;

  FMS_TRY(const int count, count_devices(*driver));
  if (ordinal < 0 || ordinal >= count) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("can't open cuda:{}: the driver sees {} device{}; check nvidia-smi and "
                    "CUDA_VISIBLE_DEVICES",
                    ordinal, count == 0 ? "no" : std::to_string(count), count == 1 ? "" : "s"));
  }
  const auto what = [&] { return fmt::format("can't open cuda:{}", ordinal); };
  CUdevice handle = 0;
  FMS_TRY_VOID(driver->check(driver->call.cuDeviceGet(&handle, ordinal), "cuDeviceGet", what));
  FMS_TRY(DeviceInfo info, read_info(*driver, handle, ordinal));
  CUcontext context = nullptr;
  FMS_TRY_VOID(driver->check(driver->call.cuDevicePrimaryCtxRetain(&context, handle),
                             "cuDevicePrimaryCtxRetain", what));
  std::shared_ptr<Device> device(new Device(std::move(driver), handle, context, std::move(info)));
  known = device;
  return device;
}

Result<std::shared_ptr<Device>> Device::cpu() {
  return cpu::open_device([](std::shared_ptr<const Driver> driver) {
    return std::shared_ptr<Device>(
        new Device(std::move(driver), 0, cpu::context(), cpu::host_info()));
  });
}

Device::Device(std::shared_ptr<const Driver> driver, int handle, void* context, DeviceInfo info)
    : driver_(std::move(driver)),
      is_cpu_(driver_->is_cpu()),
      handle_(handle),
      context_(context),
      info_(std::move(info)) {}

Device::~Device() {
  if (!driver_->usable()) return;
  const DriverFunctions& call = driver_->call;
  if (call.cuDevicePrimaryCtxRelease(handle_) != CUDA_SUCCESS) return;
  // If nobody else in the process uses the device, its context is gone: a thread that kept it as
  // current would pass a dead one to whoever calls the driver next.
  unsigned flags = 0;
  int active = 1;
  CUcontext current = nullptr;
  if (call.cuDevicePrimaryCtxGetState(handle_, &flags, &active) == CUDA_SUCCESS && !active &&
      call.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == context_) {
    call.cuCtxSetCurrent(nullptr);
  }
}

Target Device::target() const {
  if (is_cpu_) return host_target();
  const int capability = info_.compute_capability;
  return {Target::Kind::kCuda, fmt::format("sm_{}{}", capability, capability >= 90 ? "a" : "")};
}

Result<void> Device::synchronize() const {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*this));
  return driver_->check(driver_->call.cuCtxSynchronize(), "cuCtxSynchronize",
                        [&] { return fmt::format("can't wait for {}", describe(*this)); });
}

}  // namespace fms
