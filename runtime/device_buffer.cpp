#include "runtime/device_buffer.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {
namespace {

Result<void> check_fits(std::size_t bytes, std::size_t size, std::string_view what) {
  if (bytes <= size) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't {} {} bytes: the device buffer has {}", what, bytes, size));
}

}  // namespace

Result<DeviceBuffer> DeviceBuffer::allocate(std::shared_ptr<Device> device, std::size_t bytes) {
  if (bytes == 0) return DeviceBuffer(std::move(device), 0, 0);
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device));
  const Driver& driver = device->driver();
  CUdeviceptr address = 0;
  FMS_TRY_VOID(driver.check(driver.call.cuMemAlloc(&address, bytes), "cuMemAlloc", [&] {
    return fmt::format("can't allocate {} bytes on {}", bytes, describe(*device));
  }));
  return DeviceBuffer(std::move(device), address, bytes);
}

DeviceBuffer::DeviceBuffer(std::shared_ptr<Device> device, std::uint64_t address, std::size_t size)
    : device_(std::move(device)), address_(address), size_(size) {}

DeviceBuffer::~DeviceBuffer() {
  if (!address_) return;
  release_on(*device_, [&](const Driver& driver) { driver.call.cuMemFree(address_); });
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : device_(std::move(other.device_)),
      address_(std::exchange(other.address_, 0)),
      size_(std::exchange(other.size_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  DeviceBuffer moved(std::move(other));
  std::swap(device_, moved.device_);
  std::swap(address_, moved.address_);
  std::swap(size_, moved.size_);
  return *this;
}

Result<void> DeviceBuffer::upload(std::span<const std::byte> bytes, StreamView stream) {
  FMS_TRY_VOID(check_fits(bytes.size(), size_, "upload"));
  if (bytes.empty()) return {};
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  FMS_TRY_VOID(driver.check(driver.call.cuMemcpyHtoDAsync(address_, bytes.data(), bytes.size(),
                                                          static_cast<CUstream>(stream.handle)),
                            "cuMemcpyHtoDAsync", [&] {
                              return fmt::format("can't upload {} bytes to {}", bytes.size(),
                                                 describe(*device_));
                            }));
  return synchronize(*device_, stream);
}

Result<void> DeviceBuffer::download(std::span<std::byte> bytes, StreamView stream) const {
  FMS_TRY_VOID(check_fits(bytes.size(), size_, "download"));
  if (bytes.empty()) return {};
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  FMS_TRY_VOID(driver.check(driver.call.cuMemcpyDtoHAsync(bytes.data(), address_, bytes.size(),
                                                          static_cast<CUstream>(stream.handle)),
                            "cuMemcpyDtoHAsync", [&] {
                              return fmt::format("can't download {} bytes from {}", bytes.size(),
                                                 describe(*device_));
                            }));
  return synchronize(*device_, stream);
}

Result<void> DeviceBuffer::fill(std::uint8_t byte, StreamView stream) {
  if (size_ == 0) return {};
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  return driver.check(
      driver.call.cuMemsetD8Async(address_, byte, size_, static_cast<CUstream>(stream.handle)),
      "cuMemsetD8Async",
      [&] { return fmt::format("can't fill {} bytes on {}", size_, describe(*device_)); });
}

}  // namespace fms
