// Jit::get on the CPU: real compiler, real device.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "compiler/llvm_library.h"
#include "runtime/device_buffer.h"
#include "runtime/jit.h"
#include "runtime/launch.h"
#include "runtime/llvm_files.h"
#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

namespace fs = std::filesystem;
using testing::FakeCompiler;
using testing::options_in;
using testing::sample;
using testing::TemporaryFolder;

class CpuJitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::shared_ptr<Device>> opened = Device::cpu();
    if (opened) {
      device_ = *opened;
      return;
    }
    const char* required = std::getenv("FMS_TEST_REQUIRE_LLVM");
    if (required != nullptr && std::string_view(required) == "1") FAIL() << opened.error().message;
    GTEST_SKIP() << opened.error().message;
  }

  JitOptions options() const {
    JitOptions options = options_in(folder_.path(), nullptr);
    options.policy = Policy::kExact;
    return options;
  }

  // What sample(n) makes of n ones.
  std::vector<float> doubled(const Kernel& kernel, int n) {
    std::vector<float> x(n, 1.0f);
    DeviceBuffer buffer = *DeviceBuffer::allocate(device_, x.size() * sizeof(float));
    EXPECT_TRUE(buffer.upload(std::as_bytes(std::span(x))));
    const unsigned blocks = static_cast<unsigned>(n + 127) / 128;
    const Result<void> launched =
        launch({}, {.grid = {blocks}, .block = {128}}, kernel, buffer.data(), n);
    EXPECT_TRUE(launched) << launched.error().message;
    EXPECT_TRUE(buffer.download(std::as_writable_bytes(std::span(x))));
    return x;
  }

  TemporaryFolder folder_;
  std::shared_ptr<Device> device_;
};

TEST_F(CpuJitTest, AKernelIsCompiledStoredLoadedAndLaunched) {
  for (const bool again : {false, true}) {
    Jit jit = *Jit::create(options());
    const Result<Kernel> kernel = jit.get(sample(1000), device_);
    ASSERT_TRUE(kernel) << kernel.error().message;
    EXPECT_EQ(kernel->target(), host_target());
    EXPECT_EQ(doubled(*kernel, 1000), std::vector<float>(1000, 2.0f));
    EXPECT_EQ(jit.stats().compiles, again ? 0 : 1);
    EXPECT_EQ(jit.stats().store_hits, again ? 1 : 0);
  }
}

TEST_F(CpuJitTest, WhatIsStoredRunsOfflineAsWell) {
  ASSERT_TRUE(Jit::create(options())->get(sample(10), device_));
  JitOptions offline = options();
  offline.offline = true;
  Jit jit = *Jit::create(offline);
  const Result<Kernel> kernel = jit.get(sample(10), device_);
  ASSERT_TRUE(kernel) << kernel.error().message;
  EXPECT_EQ(doubled(*kernel, 10), std::vector<float>(10, 2.0f));
  EXPECT_EQ(jit.get(sample(11), device_).error().code, ErrorCode::kOffline);
}

TEST_F(CpuJitTest, ATargetOfTheOptionsIsTakenIfItIsForACpu) {
  JitOptions other = options();
  other.target = Target{Target::Kind::kCpu, "x86-64-v2"};
  EXPECT_EQ(Jit::create(other)->get(sample(10), device_)->target(), *other.target);
  other.target = Target{Target::Kind::kCuda, "sm_90a"};
  EXPECT_EQ(Jit::create(other)->get(sample(10), device_)->target(), host_target());
}

TEST_F(CpuJitTest, SanitizedCodeComputesTheSame) {
  JitOptions checked = options();
  checked.sanitize = {Sanitizer::kAddress};
  const Result<Kernel> kernel = Jit::create(checked)->get(sample(1000), device_);
  ASSERT_TRUE(kernel) << kernel.error().message;
  EXPECT_EQ(doubled(*kernel, 1000), std::vector<float>(1000, 2.0f));
}

TEST_F(CpuJitTest, PoliciesServeTheDynamicVariantAndTheExactOne) {
  JitOptions automatic = options();
  automatic.policy = Policy::kAuto;
  Jit jit = *Jit::create(automatic);
  for (int time = 0; time < 3; ++time) {
    const Result<Kernel> kernel = jit.get(sample(1000), device_);
    ASSERT_TRUE(kernel) << kernel.error().message;
    EXPECT_EQ(doubled(*kernel, 1000), std::vector<float>(1000, 2.0f));
    jit.wait_for_background();
  }
  EXPECT_EQ(jit.stats().compiles, 2);
}

// A library that is but a name and a fingerprint.
class NamedLibrary final : public LlvmLibrary {
 public:
  explicit NamedLibrary(fs::path file) : path_(file.string()) {}
  std::shared_ptr<const Compiler> compiler() const override { return compiler_; }
  Result<KernelProfile> profile(const CompileRequest&, const ProfileOptions&) const override {
    return KernelProfile{};
  }
  Result<std::string> emit(const CompileRequest&, std::string_view) const override { return path_; }
  Result<std::unique_ptr<CpuImage>> load(const ObjectCode&,
                                         std::span<const CpuSymbol>) const override {
    return fail(ErrorCode::kUnsupported, "it is but a name");
  }
  const std::string& path() const override { return path_; }
  const std::string& version() const override { return path_; }
  const std::string& host_cpu() const override { return path_; }

 private:
  std::string path_;
  std::shared_ptr<const Compiler> compiler_ = std::make_shared<FakeCompiler>("llvm 1 build 2");
};

TEST(LlvmFilesTest, ANoteHoldsAsLongAsItsFilesAreTheSame) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "with a space" / "libfms_llvm.so";
  fs::create_directory(file.parent_path());
  std::ofstream(file) << "one";
  const std::string note = note_of(NamedLibrary(file));
  EXPECT_EQ(fingerprint_in(note), "llvm 1 build 2");
  EXPECT_EQ(find_llvm_file(file.string()), file);
  std::ofstream(file) << "three";
  EXPECT_EQ(fingerprint_in(note), std::nullopt);
  fs::remove(file);
  EXPECT_EQ(fingerprint_in(note), std::nullopt);
  EXPECT_EQ(find_llvm_file(file.string()), std::nullopt);
}

TEST(LlvmFilesTest, WhatIsNoNoteHasNoFingerprint) {
  for (const char* text : {"", "llvm 1", "llvm 1\n", "llvm 1\nnonsense", "llvm 1\n1 2 3 /none"}) {
    EXPECT_EQ(fingerprint_in(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace fms
