#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/device_buffer.h"
#include "runtime/jit.h"
#include "tests/templates/toolkit.h"

namespace fms {

// Tests that say the same of every target: the parameter is "cpu", the machine's processor, or
// "cuda", its first GPU. Skips where that isn't there; but where the build has the LLVM library
// (FMS_TEST_REQUIRE_LLVM is 1 then) a missing CPU target is a failure.
//
// The device and the Jits are shared by all tests of a program.
class JitTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Result<std::shared_ptr<Device>>& opened = on_cpu() ? cpu() : first_gpu();
    if (opened) {
      device_ = *opened;
      return;
    }
    const char* required = std::getenv("FMS_TEST_REQUIRE_LLVM");
    if (on_cpu() && required != nullptr && std::string_view(required) == "1") {
      FAIL() << opened.error().message;
    }
    GTEST_SKIP() << opened.error().message;
  }

  static bool on_cpu() { return std::string_view(GetParam()) == "cpu"; }

  // No store: what is compiled here is compiled by what is tested.
  static Jit make_jit(Policy policy, std::optional<Target> target = std::nullopt) {
    JitOptions options;
    options.policy = policy;
    options.target = std::move(target);
    options.log_level = LogLevel::kError;  // it warns that there is no store
    options.toolkit = test_toolkit_search();
    // The same tests once more, with kernels that check themselves: those are clean.
    if (const char* sanitizers = std::getenv("FMS_TEST_SANITIZE")) {
      options.sanitize = parse_sanitizers(sanitizers).value();
    }
    return Jit::create(std::move(options)).value();
  }
  static Jit& jit(Policy policy) {
    static Jit exact = make_jit(Policy::kExact), dynamic = make_jit(Policy::kDynamic);
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

 private:
  static const Result<std::shared_ptr<Device>>& cpu() {
    static const Result<std::shared_ptr<Device>> device = Device::cpu();
    return device;
  }
  static const Result<std::shared_ptr<Device>>& first_gpu() {
    static const Result<std::shared_ptr<Device>> device = [] {
      const auto count = Device::count();
      const bool is_there = count && *count > 0;
      return is_there ? Device::open(0) : fail(ErrorCode::kUnavailable, "no CUDA device");
    }();
    return device;
  }
};

inline std::string target_name(const ::testing::TestParamInfo<const char*>& target) {
  return target.param;
}

}  // namespace fms

// Has the TEST_Ps of a JitTest run on each target, as On/Test.Name/cpu and On/Test.Name/cuda.
#define FMS_ON_EVERY_TARGET(Test) \
  INSTANTIATE_TEST_SUITE_P(On, Test, ::testing::Values("cpu", "cuda"), fms::target_name)
