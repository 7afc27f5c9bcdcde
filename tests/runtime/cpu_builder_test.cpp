// Building for CPU targets: the formats, the keys and the trust that are theirs.

#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/jit.h"
#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

namespace fs = std::filesystem;
using testing::FakeCompiler;
using testing::options_in;
using testing::sample;
using testing::TemporaryFolder;
using testing::text_of;

const Target kTarget{.kind = Target::Kind::kCuda, .arch = "sm_90a"};
const Target kCpu{.kind = Target::Kind::kCpu, .arch = "x86-64-v3"};

TEST(CpuBuilderTest, CodeForACpuIsBuiltAndStoredAsThatForAGpuIs) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  const Result<Built> compiled = jit.build(sample(1), kCpu);
  ASSERT_TRUE(compiled) << compiled.error().message;
  EXPECT_EQ(compiled->object.format, ObjectFormat::kElf);
  EXPECT_NE(compiled->key, jit.build(sample(1), kTarget)->key);
  EXPECT_TRUE(*jit.has(sample(1), kCpu));
  EXPECT_FALSE(*jit.has(sample(1), Target{Target::Kind::kCpu, "x86-64-v4"}));
  const Result<Built> stored = jit.build(sample(1), kCpu);
  EXPECT_EQ(stored->origin, Origin::kStore);
  EXPECT_EQ(text_of(stored->object), text_of(compiled->object));
}

TEST(CpuBuilderTest, WithoutTheLlvmLibraryACpuTargetIsUnavailableAndOthersArent) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  ASSERT_TRUE(Jit::create(options_in(folder.path(), compiler))->build(sample(1), kCpu));
  JitOptions options = options_in(folder.path(), nullptr);
  options.llvm = "/nonexistent/libfms_llvm.so";
  Jit jit = *Jit::create(options);
  const Result<Built> hit = jit.build(sample(1), kCpu);
  ASSERT_TRUE(hit) << "law 5: " << hit.error().message;
  EXPECT_EQ(hit->origin, Origin::kStore);
  const Result<Built> miss = jit.build(sample(2), kCpu);
  ASSERT_FALSE(miss);
  EXPECT_EQ(miss.error().code, ErrorCode::kUnavailable);
  for (const char* words : {"/nonexistent/libfms_llvm.so", "WITH_LLVM=1", "FMS_LLVM", "scale<"}) {
    EXPECT_NE(miss.error().message.find(words), std::string::npos) << miss.error().message;
  }
}

TEST(CpuBuilderTest, SanitizersAreInTheKeyOfCpuCodeAndRefusedForAGpu) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(folder.path(), compiler);
  const Digest plain = Jit::create(options)->build(sample(1), kCpu)->key;
  options.sanitize = {Sanitizer::kAddress, Sanitizer::kUndefined};
  Jit jit = *Jit::create(options);
  const Result<Built> checked = jit.build(sample(1), kCpu);
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_NE(checked->key, plain);
  const Result<Built> refused = jit.build(sample(1), kTarget);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("FMS_SANITIZE"), std::string::npos);
}

TEST(CpuBuilderTest, AStoredRecordOfSomethingElseIsPassedOver) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(folder.path(), compiler);
  options.log_level = LogLevel::kOff;
  Jit jit = *Jit::create(options);
  const Built one = *jit.build(sample(1), kCpu);
  // Under the key of code for a CPU, what a GPU's record check lets pass.
  const Built other = *jit.build(sample(1), kTarget);
  ASSERT_TRUE(jit.store()->put(one.key, other.object, {}));
  const Result<Built> again = jit.build(sample(1), kCpu);
  set_log_level(LogLevel::kWarn);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->origin, Origin::kCompiled);
  EXPECT_EQ(text_of(again->object), text_of(one.object));
}

TEST(CpuBuilderTest, CodeForACpuFromATierThatOthersMayWriteIsCompiledHere) {
  const TemporaryFolder writer_folder, reader_folder;
  fs::create_directory(writer_folder.path() / "open");
  const fs::path tier = writer_folder.path() / "open" / "tier";
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(writer_folder.path(), compiler);
  options.cache_dirs = {tier};
  ASSERT_TRUE(Jit::create(options)->build(sample(1), kCpu));
  ASSERT_TRUE(Jit::create(options)->build(sample(1), kTarget));
  fs::permissions(tier.parent_path(), fs::perms::all);

  options = options_in(reader_folder.path(), compiler);
  options.cache_dirs.push_back(tier);
  options.log_level = LogLevel::kOff;
  Jit jit = *Jit::create(options);
  EXPECT_FALSE(*jit.has(sample(1), kCpu));
  EXPECT_EQ(jit.build(sample(1), kCpu)->origin, Origin::kCompiled);
  EXPECT_EQ(jit.build(sample(1), kTarget)->origin, Origin::kStore);
  set_log_level(LogLevel::kWarn);
}

}  // namespace
}  // namespace fms
