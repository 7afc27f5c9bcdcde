#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "compiler/result.h"
#include "runtime/stream.h"

namespace fms {

// Device memory of its own. Copies are ordered with a stream and complete when they return.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> allocate(std::shared_ptr<Device> device, std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  std::uint64_t address() const { return address_; }  // CUdeviceptr; 0 when size() is 0
  void* data() const { return reinterpret_cast<void*>(address_); }
  std::size_t size() const { return size_; }

  // REQUIRES: bytes fit.
  Result<void> upload(std::span<const std::byte> bytes, StreamView stream = {});
  Result<void> download(std::span<std::byte> bytes, StreamView stream = {}) const;
  Result<void> fill(std::uint8_t byte, StreamView stream = {});  // asynchronous

 private:
  DeviceBuffer(std::shared_ptr<Device> device, std::uint64_t address, std::size_t size);

  std::shared_ptr<Device> device_;
  std::uint64_t address_ = 0;
  std::size_t size_ = 0;
};

}  // namespace fms
