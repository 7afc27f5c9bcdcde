#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/template_file.h"
#include "tests/conformance/comparison.h"
#include "tests/templates/jit_fixture.h"

namespace fms {

// Elements in device memory. Those that nothing is written to are poison: each byte is 0xa5; and so
// are guards in front of them and behind, which nothing may write to.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(const std::shared_ptr<Device>& device, std::span<const T> values)
      : DeviceArray(device, values.size()) {
    write(kGuard, std::as_bytes(values));
  }
  DeviceArray(const std::shared_ptr<Device>& device, std::size_t count)
      : buffer_(DeviceBuffer::allocate(device, count * sizeof(T) + 2 * kGuard).value()),
        bytes_(buffer_.size(), kPoison) {
    write(0, bytes_);
  }

  T* data() const { return reinterpret_cast<T*>(static_cast<std::byte*>(buffer_.data()) + kGuard); }

  // Waits for all that was launched.
  std::vector<T> values() const {
    std::vector<std::byte> now(bytes_.size());
    const auto done = buffer_.download(now);
    if (!done) ADD_FAILURE() << done.error().message;
    const auto guards = {std::span(now).first(kGuard), std::span(now).last(kGuard)};
    for (const std::span<std::byte> guard : guards) {
      EXPECT_EQ(std::ranges::count(guard, kPoison), std::ssize(guard)) << "written out of bounds";
    }
    std::vector<T> values((now.size() - 2 * kGuard) / sizeof(T));
    std::ranges::copy(std::span(now).subspan(kGuard, now.size() - 2 * kGuard),
                      std::as_writable_bytes(std::span(values)).begin());
    return values;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr std::byte kPoison{0xa5};

  void write(std::size_t at, std::span<const std::byte> bytes) {
    std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    const auto done = buffer_.upload(bytes_);
    if (!done) ADD_FAILURE() << done.error().message;
  }

  DeviceBuffer buffer_;
  std::vector<std::byte> bytes_;
};

// Runs kernels of kernels/: plain CUDA C++, a file each, on each target, with one expectation.
class ConformanceTest : public JitTest {
 protected:
  static std::shared_ptr<const KernelTemplate> load(const std::string& name,
                                                    std::string_view entry = {},
                                                    const std::string& folder = "kernels") {
    const std::string path = FMS_CONFORMANCE_FOLDER "/" + folder + "/" + name + ".cu";
    auto loaded = load_template(path, entry);
    if (!loaded) ADD_FAILURE() << loaded.error().message;
    return std::move(loaded).value();
  }

  // Compiles kernels/NAME.cu; `entry` says which kernel where it has several.
  Result<Kernel> build(const std::string& name, std::string_view entry = {},
                       const std::string& folder = "kernels") {
    const auto kernel = Specialization::make(load(name, entry, folder), {});
    return jit(Policy::kExact).get(kernel.value(), device_);
  }
  Kernel kernel(const std::string& name, std::string_view entry = {},
                const std::string& folder = "kernels") {
    auto built = build(name, entry, folder);
    if (!built) ADD_FAILURE() << built.error().message << "\n" << built.error().detail;
    return std::move(built).value();
  }

  template <typename T>
  DeviceArray<T> array(const std::vector<T>& values) const {
    return {device_, std::span<const T>(values)};
  }
  template <typename T>
  DeviceArray<T> poisoned(std::size_t count) const {
    return {device_, count};
  }

  // Launches and waits. Arguments are arrays, numbers and structs.
  template <typename... Arguments>
  Result<void> try_run(const Kernel& kernel, const LaunchConfig& config,
                       const Arguments&... arguments) {
    FMS_TRY_VOID(launch(StreamView{}, config, kernel, as_argument(arguments)...));
    return device_->synchronize();
  }
  template <typename... Arguments>
  void run(const Kernel& kernel, const LaunchConfig& config, const Arguments&... arguments) {
    const Result<void> done = try_run(kernel, config, arguments...);
    ASSERT_TRUE(done) << done.error().message;
  }

  // Blocks of `block` threads that cover n.
  static LaunchConfig covering(std::int64_t n, std::uint32_t block) {
    return {.grid = {.x = blocks_of(n, block)}, .block = {.x = block}};
  }
  static std::uint32_t blocks_of(std::int64_t n, std::int64_t block) {
    return static_cast<std::uint32_t>((n + block - 1) / block);
  }

 private:
  template <typename T>
  static T* as_argument(const DeviceArray<T>& array) {
    return array.data();
  }
  template <typename T>
  static const T& as_argument(const T& value) {
    return value;
  }
};

}  // namespace fms
