// What a build without the LLVM library says of CPU targets: that it lacks one, and where to get
// it.

#include <gtest/gtest.h>

#include <string_view>

#include "compiler/llvm_library.h"
#include "runtime/device.h"
#include "runtime/jit.h"
#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

using testing::options_in;
using testing::sample;
using testing::TemporaryFolder;

void expect_advice(const Error& error) {
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_NE(error.message.find("WITH_LLVM=1"), std::string_view::npos) << error.message;
}

class NoLlvmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto library = open_llvm();
    if (library) GTEST_SKIP() << "one is installed: " << (*library)->path();
    expect_advice(library.error());
  }
};

TEST_F(NoLlvmTest, TheCpuIsNoDevice) {
  const auto device = Device::cpu();
  ASSERT_FALSE(device);
  expect_advice(device.error());
}

TEST_F(NoLlvmTest, ACpuTargetCantBeBuiltAndOthersCan) {
  const TemporaryFolder folder;
  Jit jit = *Jit::create(options_in(folder.path(), nullptr));
  const auto built = jit.build(sample(1), host_target());
  ASSERT_FALSE(built);
  expect_advice(built.error());
  const auto compiler = std::make_shared<testing::FakeCompiler>();
  EXPECT_TRUE(Jit::create(options_in(folder.path(), compiler))
                  ->build(sample(1), Target::parse("sm_90a").value()));
}

}  // namespace
}  // namespace fms
