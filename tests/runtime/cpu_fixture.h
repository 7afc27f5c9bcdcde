#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/llvm_library.h"
#include "runtime/cpu/cpu_driver.h"
#include "runtime/device.h"
#include "runtime/kernel.h"
#include "runtime/launch.h"
#include "tests/runtime/expectations.h"

namespace fms::testing {

// A kernel written in C++ as the compiler would write it: regions, and the table of them.
struct CpuKernel {
  std::vector<cpu::State> states;
  std::uint64_t frame_bytes = 64;
  std::uint32_t static_smem_bytes = 0;
  bool checked = false;
  int max_threads = 0;
  std::vector<std::uint32_t> parameter_sizes;
};

// Stands for libfms_llvm.so: "object code" is the address of a cpu::Kernel.
class FakeLlvm final : public LlvmLibrary {
 public:
  std::shared_ptr<const Compiler> compiler() const override { return nullptr; }
  Result<KernelProfile> profile(const CompileRequest&, const ProfileOptions&) const override {
    return KernelProfile{};
  }
  Result<std::string> emit(const CompileRequest&, std::string_view) const override {
    return fail(ErrorCode::kUnsupported, "the fake compiles nothing");
  }
  Result<std::unique_ptr<CpuImage>> load(const ObjectCode& object,
                                         std::span<const CpuSymbol> symbols) const override {
    if (object.bytes.size() != sizeof(const cpu::Kernel*)) {
      return fail(ErrorCode::kCorrupt, "no object code");
    }
    for (const CpuSymbol& symbol : symbols) symbols_[std::string(symbol.name)] = symbol.address;
    auto image = std::make_unique<Image>();
    std::memcpy(&image->kernel_, object.bytes.data(), sizeof(image->kernel_));
    return image;
  }
  const std::string& path() const override { return path_; }
  const std::string& version() const override { return path_; }
  const std::string& host_cpu() const override { return path_; }

  template <typename Function>
  Function* symbol(std::string_view name) const {
    return reinterpret_cast<Function*>(symbols_.find(name)->second);
  }

 private:
  struct Image final : CpuImage {
    const cpu::Kernel& kernel() const override { return *kernel_; }
    const cpu::Kernel* kernel_ = nullptr;
  };
  std::string path_ = "fake";
  mutable std::map<std::string, void*, std::less<>> symbols_;
};

// What code may call of the runtime; the symbols of the last kernel that was loaded.
inline const FakeLlvm* llvm_of_test = nullptr;

// The CPU device, with the fake for its LLVM.
class CpuTest : public ::testing::Test {
 protected:
  CpuTest() {
    llvm_of_test = llvm_.get();
    cpu::set_llvm_for_testing(llvm_);
    device_ = must(Device::cpu());
  }
  ~CpuTest() override {
    device_.reset();
    cpu::set_llvm_for_testing(nullptr);
  }

  // The object code of `kernel`, which stays as long as the test.
  ObjectCode object_of(const CpuKernel& kernel, std::string entry = "kernel") {
    kernels_.push_back(std::make_unique<std::pair<CpuKernel, cpu::Kernel>>(kernel, cpu::Kernel{}));
    auto& [kept, table] = *kernels_.back();
    table = {.state_count = static_cast<std::uint32_t>(kept.states.size()),
             .states = kept.states.data(),
             .frame_bytes = kept.frame_bytes,
             .static_smem_bytes = kept.static_smem_bytes,
             .checked = kept.checked};
    ObjectCode object{.format = ObjectFormat::kElf,
                      .target = host_target(),
                      .entry = std::move(entry),
                      .resources = {.static_smem_bytes = static_cast<int>(kept.static_smem_bytes),
                                    .max_threads = kept.max_threads}};
    std::uint32_t offset = 0;
    for (const std::uint32_t size : kept.parameter_sizes) {
      offset = (offset + size - 1) / size * size;
      object.resources.parameters.push_back({.offset = offset, .size = size});
      offset += size;
    }
    const cpu::Kernel* const address = &table;
    object.bytes.resize(sizeof(address));
    std::memcpy(object.bytes.data(), &address, sizeof(address));
    return object;
  }
  Kernel load(const CpuKernel& kernel) { return must(Kernel::load(device_, object_of(kernel))); }

  // Loads `kernel` and launches it, with pointers for arguments.
  template <typename... Arguments>
  Result<void> run(CpuKernel kernel, const LaunchConfig& config, const Arguments&... arguments) {
    kernel.parameter_sizes = {sizeof(Arguments)...};
    return launch({}, config, load(kernel), arguments...);
  }

  std::shared_ptr<FakeLlvm> llvm_ = std::make_shared<FakeLlvm>();
  std::vector<std::unique_ptr<std::pair<CpuKernel, cpu::Kernel>>> kernels_;
  std::shared_ptr<Device> device_;
};

// What a region sees of the thread it runs.
struct Thread {
  cpu::Block* block;
  cpu::Warp* warp;
  std::uint32_t lane, x, y, z;

  std::uint32_t linear() const { return (z * block->block_dim[1] + y) * block->block_dim[0] + x; }
  template <typename T>
  T argument(std::size_t offset) const {
    T value;
    std::memcpy(&value, block->arguments + offset, sizeof(value));
    return value;
  }
  // The `number`th 32-bit variable that the thread keeps.
  std::uint32_t& kept(std::uint32_t number) const {
    return reinterpret_cast<std::uint32_t*>(warp->frame)[number * cpu::kWarpSize + lane];
  }
  std::uint32_t* shared() const { return reinterpret_cast<std::uint32_t*>(block->shared); }

  void go_to(std::uint32_t state) const { warp->state[lane] = state; }
  void offer(std::uint64_t value, std::uint32_t mask = 0xffff'ffff,
             std::uint32_t source = 0) const {
    warp->value[lane] = value;
    warp->mask[lane] = mask;
    warp->source[lane] = source;
  }
  std::uint32_t got() const { return static_cast<std::uint32_t>(warp->value[lane]); }
};

// A region that does `body` (void(Thread), with no state) for each of its threads.
template <typename Body>
cpu::Region region(Body) {
  return [](cpu::Block* block, cpu::Warp* warp, std::uint32_t lane, std::uint32_t count,
            std::uint32_t x, std::uint32_t y, std::uint32_t z) {
    for (std::uint32_t i = 0; i < count; ++i) Body{}(Thread{block, warp, lane + i, x + i, y, z});
  };
}

}  // namespace fms::testing
