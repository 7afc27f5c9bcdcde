// Jit::get and prepare: policies, devices, captures. The device is the fake one, and so is the
// compiler.

#include "runtime/jit.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>
#include <vector>

#include "tests/runtime/fake_compiler.h"
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms {
namespace {

using testing::FakeCompiler;
using testing::options_in;
using testing::sample;

// Makes code that the fake driver loads. The exact variant is told from the dynamic one by its
// static shared memory.
class LoadableCompiler : public FakeCompiler {
 public:
  static constexpr int kExactSmem = 1024;

  Result<ObjectCode> compile(const CompileRequest& request,
                             const CancelToken& cancel) const override {
    FMS_TRY_VOID(FakeCompiler::compile(request, cancel));
    const bool dynamic = request.source.find("kDynamic") != std::string::npos;
    if (!dynamic) ++exact_compiles;
    if (!dynamic && refuse_exact) return fail(ErrorCode::kRejected, "it spills");
    ObjectCode object = fake_object({.name = request.entry,
                                     .static_smem_bytes = dynamic ? 0 : kExactSmem,
                                     .parameter_sizes = {8, 4}},
                                    request.target);
    object.compiler = fingerprint();
    return object;
  }

  mutable std::atomic<int> exact_compiles{0};
  bool refuse_exact = false;
};

class JitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_fake_driver();
    Result<std::shared_ptr<Device>> opened = Device::open(0);
    ASSERT_TRUE(opened) << opened.error().message;
    device_ = *opened;
  }

  JitOptions options(Policy policy = Policy::kAuto) const {
    JitOptions options = options_in(folder_.path(), compiler_);
    options.policy = policy;
    return options;
  }

  static bool is_exact(const Result<Kernel>& kernel) {
    EXPECT_TRUE(kernel) << kernel.error().message;
    return kernel && kernel->resources().static_smem_bytes == LoadableCompiler::kExactSmem;
  }

  testing::TemporaryFolder folder_;
  std::shared_ptr<LoadableCompiler> compiler_ = std::make_shared<LoadableCompiler>();
  std::shared_ptr<Device> device_;
};

TEST_F(JitTest, ExactPolicyCompilesTheExactVariantOnce) {
  Jit jit = *Jit::create(options(Policy::kExact));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_exact(jit.get(sample(100), device_)));
  EXPECT_EQ(compiler_->compiles, 1);
  EXPECT_EQ(jit.stats().loaded_hits, 2);
}

TEST_F(JitTest, DynamicPolicyServesAllSizesWithOneKernel) {
  Jit jit = *Jit::create(options(Policy::kDynamic));
  for (int n = 1; n <= 10; ++n) EXPECT_FALSE(is_exact(jit.get(sample(n), device_)));
  EXPECT_EQ(compiler_->compiles, 1);
  EXPECT_EQ(fake_calls("cuLibraryLoadData"), 1);
}

TEST_F(JitTest, AutoPolicyRunsANewSizeAtOnceAndSwitchesWhenItComesBack) {
  Jit jit = *Jit::create(options());
  EXPECT_FALSE(is_exact(jit.get(sample(100), device_)));
  jit.wait_for_background();
  EXPECT_EQ(compiler_->exact_compiles, 0) << "a size seen once is not worth a compile";
  EXPECT_FALSE(is_exact(jit.get(sample(100), device_))) << "the second call doesn't wait";
  jit.wait_for_background();
  EXPECT_EQ(compiler_->exact_compiles, 1);
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_)));
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_)));
  EXPECT_FALSE(is_exact(jit.get(sample(200), device_))) << "another size begins anew";
  EXPECT_EQ(compiler_->compiles, 2);
  EXPECT_EQ(jit.stats().background_compiles, 1);
}

TEST_F(JitTest, AutoPolicyTakesTheExactVariantFromAWarmStoreAtOnce) {
  ASSERT_TRUE(Jit::create(options())->build(sample(100), device_->target()));
  Jit jit = *Jit::create(options());
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_)));
  EXPECT_EQ(compiler_->compiles, 1);
}

TEST_F(JitTest, AnExactVariantThatFailsLeavesTheDynamicOneServing) {
  compiler_->refuse_exact = true;
  JitOptions quiet = options();
  quiet.log_level = LogLevel::kOff;
  Jit jit = *Jit::create(quiet);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(is_exact(jit.get(sample(100), device_)));
    jit.wait_for_background();
  }
  EXPECT_EQ(compiler_->exact_compiles, 1);
  set_log_level(LogLevel::kWarn);
}

TEST_F(JitTest, ThePolicyOfACallBeatsTheJitsOwn) {
  Jit jit = *Jit::create(options(Policy::kDynamic));
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.policy = Policy::kExact})));
  EXPECT_FALSE(is_exact(jit.get(sample(100), device_)));
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.policy = Policy::kAuto})))
      << "it is loaded, so auto takes it";
}

TEST_F(JitTest, ACallSaysHowFarItGoesForAKernelThatIsntLoaded) {
  Jit jit = *Jit::create(options());
  const auto get = [&](int size, Effort effort, Policy policy) {
    return jit.get(sample(size), device_, {.policy = policy, .effort = effort});
  };
  const auto misses = [&](int size, Effort effort, Policy policy) {
    const Result<Kernel> kernel = get(size, effort, policy);
    return !kernel && kernel.error().code == ErrorCode::kNotFound;
  };
  for (const Policy policy : {Policy::kExact, Policy::kAuto, Policy::kDynamic}) {
    EXPECT_TRUE(misses(100, Effort::kLoaded, policy));
    EXPECT_TRUE(misses(100, Effort::kStored, policy));
  }
  EXPECT_EQ(compiler_->compiles, 0);

  ASSERT_TRUE(jit.build(sample(100), device_->target()));
  EXPECT_TRUE(misses(100, Effort::kLoaded, Policy::kAuto));
  EXPECT_TRUE(misses(100, Effort::kStored, Policy::kDynamic));
  EXPECT_TRUE(is_exact(get(100, Effort::kStored, Policy::kAuto)));
  EXPECT_TRUE(is_exact(get(100, Effort::kLoaded, Policy::kExact)));

  ASSERT_TRUE(jit.build(sample(-1), device_->target()));
  EXPECT_TRUE(misses(200, Effort::kStored, Policy::kExact));
  EXPECT_FALSE(is_exact(get(200, Effort::kStored, Policy::kAuto)));
  EXPECT_FALSE(is_exact(get(100, Effort::kStored, Policy::kDynamic)));
  EXPECT_EQ(jit.stats().dynamic_served, 2);
  EXPECT_EQ(compiler_->compiles, 2);
}

TEST_F(JitTest, PrepareMakesEveryPolicyReady) {
  Jit jit = *Jit::create(options());
  ASSERT_TRUE(jit.prepare(sample(100), device_));
  EXPECT_EQ(compiler_->compiles, 2);
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.policy = Policy::kExact})));
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.policy = Policy::kAuto})));
  EXPECT_FALSE(is_exact(jit.get(sample(100), device_, {.policy = Policy::kDynamic})));
  EXPECT_FALSE(is_exact(jit.get(sample(-1), device_)));
  EXPECT_EQ(compiler_->compiles, 2);
}

TEST_F(JitTest, WhileAGraphIsCapturedOnlyPreparedKernelsAreServed) {
  Jit jit = *Jit::create(options());
  ASSERT_TRUE(jit.prepare(sample(100), device_));
  const Stream stream = *Stream::create(device_);
  fake_set_capturing(stream, true);
  const GetOptions capturing{.stream = stream};
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, capturing)));
  const Result<Kernel> refused = jit.get(sample(200), device_, capturing);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCapturing);
  EXPECT_NE(refused.error().message.find("prepare"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("kN=200"), std::string::npos) << refused.error().message;
  EXPECT_EQ(compiler_->compiles, 2);
  fake_set_capturing(stream, false);
  EXPECT_TRUE(jit.get(sample(200), device_, capturing));
}

TEST_F(JitTest, AnExactKernelThatBecomesReadyDuringACaptureWaitsForItsEnd) {
  Jit jit = *Jit::create(options());
  const Stream stream = *Stream::create(device_);
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(is_exact(jit.get(sample(100), device_)));
  jit.wait_for_background();
  fake_set_capturing(stream, true);
  EXPECT_FALSE(is_exact(jit.get(sample(100), device_, {.stream = stream})));
  fake_set_capturing(stream, false);
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.stream = stream})));
}

TEST_F(JitTest, EachDeviceGetsCodeForItsOwnArchitecture) {
  const std::shared_ptr<Device> other = *Device::open(1);
  Jit jit = *Jit::create(options(Policy::kExact));
  const Result<Kernel> first = jit.get(sample(100), device_);
  const Result<Kernel> second = jit.get(sample(100), other);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->target().arch, "sm_90a");
  EXPECT_EQ(second->target().arch, "sm_80");
  EXPECT_EQ(second->device(), other);
  EXPECT_EQ(compiler_->compiles, 2);
}

TEST_F(JitTest, ATargetThatTheDeviceCannotRunIsRefusedByName) {
  JitOptions wrong = options(Policy::kExact);
  wrong.target = *Target::parse("sm_80");
  const Result<Kernel> kernel = Jit::create(wrong)->get(sample(100), device_);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(kernel.error().message.find("sm_80"), std::string::npos) << kernel.error().message;
}

TEST_F(JitTest, StoredCodeThatTheDriverRefusesIsCompiledAgain) {
  JitOptions quiet = options(Policy::kExact);
  quiet.log_level = LogLevel::kOff;
  ASSERT_TRUE(Jit::create(quiet)->build(sample(100), device_->target()));
  fake_fail_next("cuLibraryLoadData", 200 /* CUDA_ERROR_INVALID_IMAGE */);
  Jit jit = *Jit::create(quiet);
  EXPECT_TRUE(is_exact(jit.get(sample(100), device_)));
  EXPECT_EQ(compiler_->compiles, 2);
  set_log_level(LogLevel::kWarn);
}

TEST_F(JitTest, OfflineAutoServesTheDynamicVariantAndNeverCompiles) {
  ASSERT_TRUE(Jit::create(options())->build(sample(-1), device_->target()));
  JitOptions offline = options();
  offline.offline = true;
  Jit jit = *Jit::create(offline);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(is_exact(jit.get(sample(100), device_)));
  jit.wait_for_background();
  EXPECT_EQ(jit.get(sample(100), device_, {.policy = Policy::kExact}).error().code,
            ErrorCode::kOffline);
  EXPECT_EQ(compiler_->compiles, 1);
}

TEST_F(JitTest, ThreadsThatAskForOneKernelLoadItOnce) {
  compiler_->delay = std::chrono::milliseconds(50);
  Jit jit = *Jit::create(options(Policy::kExact));
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(jit.get(sample(100), device_)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(compiler_->compiles, 1);
  EXPECT_EQ(fake_calls("cuLibraryLoadData"), 1);
}

TEST_F(JitTest, ThreadsThatFindOneKernelInTheStoreLoadItOnce) {
  Jit jit = *Jit::create(options());
  ASSERT_TRUE(jit.build(sample(100), device_->target()));
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back(
        [&] { EXPECT_TRUE(is_exact(jit.get(sample(100), device_, {.effort = Effort::kStored}))); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fake_calls("cuLibraryLoadData"), 1);
}

TEST_F(JitTest, ThreadsThatAskForManySizesUnderAutoAllGetKernels) {
  Jit jit = *Jit::create(options());
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) EXPECT_TRUE(jit.get(sample(1 + (i * 7 + t) % 20), device_));
    });
  }
  for (std::thread& thread : threads) thread.join();
  jit.wait_for_background();
  EXPECT_EQ(compiler_->exact_compiles, 20);
  EXPECT_EQ(compiler_->compiles, 21);
}

TEST_F(JitTest, RecordsWhatIsAskedForAndItCanBeWarmedFrom) {
  JitOptions recording = options(Policy::kExact);
  recording.record = folder_.path() / "m.jsonl";
  {
    Jit jit = *Jit::create(recording);
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(jit.get(sample(100), device_));
    ASSERT_TRUE(jit.get(sample(-1), device_));
  }
  std::ofstream(folder_.path() / "scale.cu") << testing::sample_template()->text();
  const Result<Manifest> manifest = Manifest::read(recording.record);
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_EQ(manifest->entries.size(), 2u);
  const auto variants = resolve(manifest->entries[0], device_->target(), folder_.path());
  ASSERT_TRUE(variants) << variants.error().message;
  EXPECT_EQ(variants->back(), sample(100));
}

TEST_F(JitTest, AKernelOutlivesItsJitAndKeepsTheDevice) {
  Result<Kernel> kernel = Jit::create(options(Policy::kExact))->get(sample(100), device_);
  ASSERT_TRUE(kernel);
  device_.reset();
  EXPECT_EQ(fake_live().libraries, 1);
  EXPECT_EQ(fake_live().contexts, 1);
  const Stream stream = *Stream::create(kernel->device());
  const void* x = nullptr;
  EXPECT_TRUE(launch(stream, {.block = {.x = 128}}, *kernel, x, 100));
  EXPECT_EQ(fake_launches().size(), 1u);
}

TEST_F(JitTest, LibrariesAreUnloadedWithTheirLastKernel) {
  {
    Jit jit = *Jit::create(options(Policy::kExact));
    ASSERT_TRUE(jit.get(sample(100), device_));
    EXPECT_EQ(fake_live().libraries, 1);
  }
  EXPECT_EQ(fake_live().libraries, 0);
}

}  // namespace
}  // namespace fms
