#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compiler/compile_request.h"
#include "compiler/compiler.h"
#include "compiler/nvrtc_compiler.h"
#include "runtime/device.h"
#include "runtime/device_buffer.h"
#include "runtime/kernel.h"
#include "runtime/launch.h"
#include "runtime/stream.h"
#include "runtime/toolkit.h"
#include "tests/runtime/expectations.h"

namespace fms::testing {

// The first device and NVRTC: the toolkit that FMS_TEST_NVRTC names, or else any. Skips where there
// is no device.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto count = Device::count();
    if (!count || *count == 0) GTEST_SKIP() << "no CUDA device";
    device_ = must(Device::open(0));
  }

  bool is_hopper_or_later() const { return device_->info().compute_capability >= 90; }

  static ObjectCode compile(const std::string& source, const Target& target,
                            ObjectFormat format = ObjectFormat::kCubin) {
    const auto kernel_template = must(KernelTemplate::parse("test.cu", source));
    const auto specialization = must(Specialization::make(kernel_template, {}));
    const auto compiler = shared_compiler();
    return must(compiler->compile(
        make_request(specialization, target, compiler->fingerprint(), {.format = format})));
  }

  // The only kernel of `source`, on the device.
  Kernel load(const std::string& source) const {
    return must(Kernel::load(device_, compile(source, device_->target())));
  }

  template <typename T>
  DeviceBuffer upload(const std::vector<T>& values) const {
    DeviceBuffer buffer = must(DeviceBuffer::allocate(device_, values.size() * sizeof(T)));
    must_succeed(buffer.upload(std::as_bytes(std::span(values))));
    return buffer;
  }
  template <typename T>
  std::vector<T> download(const DeviceBuffer& buffer) const {
    std::vector<T> values(buffer.size() / sizeof(T));
    must_succeed(device_->synchronize());
    must_succeed(buffer.download(std::as_writable_bytes(std::span(values))));
    return values;
  }

  std::shared_ptr<Device> device_;

 private:
  static std::shared_ptr<const NvrtcCompiler> shared_compiler() {
    static const std::shared_ptr<const NvrtcCompiler> compiler = [] {
      ToolkitSearch search = ToolkitSearch::from_environment();
      const char* named = std::getenv("FMS_TEST_NVRTC");
      if (named && *named) search.nvrtc = named;
      return must(open_compiler(must(find_toolkit(search))));
    }();
    return compiler;
  }
};

}  // namespace fms::testing
