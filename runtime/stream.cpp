#include "runtime/stream.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {

Result<Stream> Stream::create(std::shared_ptr<Device> device) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device));
  const Driver& driver = device->driver();
  CUstream handle = nullptr;
  FMS_TRY_VOID(
      driver.check(driver.call.cuStreamCreate(&handle, CU_STREAM_NON_BLOCKING), "cuStreamCreate",
                   [&] { return fmt::format("can't make a stream on {}", describe(*device)); }));
  return Stream(std::move(device), handle);
}

Stream::Stream(std::shared_ptr<Device> device, void* handle)
    : device_(std::move(device)), handle_(handle) {}

Stream::~Stream() {
  if (!handle_) return;
  release_on(*device_, [&](const Driver& driver) {
    driver.call.cuStreamDestroy(static_cast<CUstream>(handle_));
  });
}

Stream::Stream(Stream&& other) noexcept
    : device_(std::move(other.device_)), handle_(std::exchange(other.handle_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  Stream moved(std::move(other));
  std::swap(device_, moved.device_);
  std::swap(handle_, moved.handle_);
  return *this;
}

Result<void> Stream::synchronize() const { return fms::synchronize(*device_, view()); }

Result<void> synchronize(const Device& device, StreamView stream) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  const Driver& driver = device.driver();
  return driver.check(
      driver.call.cuStreamSynchronize(static_cast<CUstream>(stream.handle)), "cuStreamSynchronize",
      [&] { return fmt::format("can't wait for a stream on {}", describe(device)); });
}

Result<bool> is_idle(const Device& device, StreamView stream) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  const Driver& driver = device.driver();
  const CUresult code = driver.call.cuStreamQuery(static_cast<CUstream>(stream.handle));
  if (code == CUDA_ERROR_NOT_READY) return false;
  FMS_TRY_VOID(driver.check(code, "cuStreamQuery", [&] {
    return fmt::format("can't ask whether a stream on {} is idle", describe(device));
  }));
  return true;
}

Result<bool> is_capturing(const Device& device, StreamView stream) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  const Driver& driver = device.driver();
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult code =
      driver.call.cuStreamIsCapturing(static_cast<CUstream>(stream.handle), &status);
  // The default stream, asked while a stream that synchronises with it is captured: work on it
  // would break that capture.
  if (code == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) return true;
  FMS_TRY_VOID(driver.check(code, "cuStreamIsCapturing", [&] {
    return fmt::format("can't ask whether a stream on {} is captured", describe(device));
  }));
  return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

}  // namespace fms
