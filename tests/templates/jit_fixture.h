#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device_buffer.h"
#include "runtime/jit.h"
#include "tests/templates/toolkit.h"

namespace fms {

// The first device and a Jit in memory, shared by all tests of a program. Skips where there is no
// device.
class JitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto count = Device::count();
    if (!count || *count == 0) GTEST_SKIP() << "no CUDA device";
    static const std::shared_ptr<Device> device = Device::open(0).value();
    device_ = device;
  }

  // No store: what is compiled here is compiled by what is tested.
  static Jit& jit(Policy policy) {
    static const auto make = [](Policy jit_policy) {
      JitOptions options;
      options.policy = jit_policy;
      options.log_level = LogLevel::kError;  // it warns that there is no store
      options.toolkit = test_toolkit_search();
      return Jit::create(std::move(options)).value();
    };
    static Jit exact = make(Policy::kExact), dynamic = make(Policy::kDynamic);
    return policy == Policy::kExact ? exact : dynamic;
  }

  DeviceBuffer upload(std::span<const std::byte> bytes) const {
    DeviceBuffer buffer = DeviceBuffer::allocate(device_, bytes.size()).value();
    const auto done = buffer.upload(bytes);
    if (!done) ADD_FAILURE() << done.error().message;
    return buffer;
  }

  template <typename T>
  DeviceBuffer upload(const std::vector<T>& values) const {
    return upload(std::as_bytes(std::span(values)));
  }

  template <typename T>
  std::vector<T> download(const DeviceBuffer& buffer) const {
    std::vector<T> values(buffer.size() / sizeof(T));
    const auto done = buffer.download(std::as_writable_bytes(std::span(values)));
    if (!done) ADD_FAILURE() << done.error().message;
    return values;
  }

  // Null until SetUp() has found a device.
  std::shared_ptr<Device> device_;
};

}  // namespace fms
