// What attention::tune() makes of kernels that fail: on the fake driver, which has the test compute
// in the kernels' place.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <string>

#include "runtime/driver.h"
#include "runtime/ops/attention_reference.h"
#include "runtime/ops/attention_tuning.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/runtime/fake_driver/fake_driver.h"
#include "tests/templates/fake_attention.h"

namespace fms::attention {
namespace {

using fms::testing::code_of;
using fms::testing::message_of;
using fms::testing::must;

class AttentionTournamentTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    use_fake_driver();
    fake_reset();
    device_ = must(Device::open(GetParam()));
    fake_on_launch([this](const FakeLaunch& launch) {
      compute(launch);
      if (++launches_ == 2 && at_second_) at_second_();
    });
  }
  void TearDown() override { fake_reset(); }

  Jit make_jit() {
    JitOptions options = fms::testing::options_in(folder_.path(), compiler_);
    options.log_level = LogLevel::kError;
    options.policy = Policy::kExact;
    return must(Jit::create(std::move(options)));
  }

  // The first bytes of a tensor map are its address, on the fake driver.
  static std::byte* address_of(const std::vector<std::byte>& argument) {
    std::byte* address = nullptr;
    std::memcpy(&address, argument.data(), sizeof(address));
    return address;
  }

  void compute(const FakeLaunch& launch) {
    const std::byte* const q = address_of(launch.arguments[0]);
    const std::size_t bytes = std::size_t{2} * problem_.heads * problem_.seq_q * problem_.head_dim;
    if (last_q_.empty() || std::memcmp(last_q_.data(), q, bytes) != 0) {
      last_q_.assign(q, q + bytes);
      last_o_ = result_of(launch);
    }
    std::memcpy(address_of(launch.arguments[3]), last_o_.data(), bytes);
  }

  std::vector<std::uint16_t> result_of(const FakeLaunch& launch) const {
    const Strides strides = bhsd_strides(problem_.heads, problem_.seq_q, problem_.head_dim);
    const HostInputs inputs{.q = address_of(launch.arguments[0]),
                            .k = address_of(launch.arguments[1]),
                            .v = address_of(launch.arguments[2]),
                            .q_strides = strides,
                            .k_strides = strides,
                            .v_strides = strides};
    const Reference exact = must(reference(problem_, inputs, all_rows(problem_)));
    std::vector<std::uint16_t> rounded;
    for (const double value : exact.o) {
      const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value)) + 0x8000;
      rounded.push_back(static_cast<std::uint16_t>(bits >> 16));
    }
    return rounded;
  }

  Result<TuningReport> tune_it(TuneOptions options = {}) {
    options.seconds = 120;
    options.most = 4;
    Jit jit = make_jit();
    return tune(jit, device_, std::span(&problem_, 1), options);
  }

  static std::ptrdiff_t count(const TuningReport& report, Outcome outcome) {
    return std::ranges::count(report.candidates, outcome, &TunedCandidate::outcome);
  }

  class LoadableCompiler : public fms::testing::FakeCompiler {
   public:
    Result<ObjectCode> compile(const CompileRequest& request, const CancelToken&) const override {
      ObjectCode object = fake_object(fake_forward_kernel(request.entry), request.target);
      object.compiler = fingerprint();
      return object;
    }
  };

  fms::testing::TemporaryFolder folder_;
  std::shared_ptr<const Compiler> compiler_ = std::make_shared<LoadableCompiler>();
  std::shared_ptr<Device> device_;
  Problem problem_{.batch = 1, .heads = 2, .kv_heads = 2, .seq_q = 70, .seq_k = 70};
  std::function<void()> at_second_;  // the first candidate that is compared with the plan's own
  int launches_ = 0;
  std::vector<std::byte> last_q_;
  std::vector<std::uint16_t> last_o_;
};

TEST_P(AttentionTournamentTest, EqualsAreMeasuredAndThePlansTileStays) {
  const TuningReport report = must(tune_it());
  EXPECT_GE(count(report, Outcome::kMeasured), 3);
  EXPECT_EQ(count(report, Outcome::kWrong), 0);
  EXPECT_EQ(report.best, 0u);  // every launch takes one tick of the fake's clock
  EXPECT_TRUE(report.kept);
  EXPECT_EQ(fake_live().allocations, 0);
  EXPECT_EQ(fake_live().events, 0);
}

TEST_P(AttentionTournamentTest, ALaunchThatIsRefusedPutsItsTileOut) {
  fake_on_launch([&](const FakeLaunch& launch) {
    compute(launch);
    if (++launches_ == 1) fake_fail_next("cuLaunchKernelEx", CUDA_ERROR_INVALID_VALUE);
  });
  const TuningReport report = must(tune_it());
  ASSERT_EQ(count(report, Outcome::kRejected), 1);
  const auto rejected =
      std::ranges::find(report.candidates, Outcome::kRejected, &TunedCandidate::outcome);
  EXPECT_CONTAINS(rejected->why, "can't launch attention_forward");
  EXPECT_GE(count(report, Outcome::kMeasured), 2);
  EXPECT_TRUE(report.kept);
}

TEST_P(AttentionTournamentTest, AKernelThatLosesTheDeviceIsNamed) {
  at_second_ = [] {
    for (const char* function : {"cuStreamQuery", "cuStreamSynchronize", "cuMemcpyDtoHAsync"}) {
      fake_fail_next(function, CUDA_ERROR_ILLEGAL_ADDRESS, 1000);
    }
  };
  const auto lost = tune_it();
  EXPECT_EQ(code_of(lost), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(lost), "kBlockN=");
  EXPECT_CONTAINS(message_of(lost), "tune again without that tile");
}

TEST_P(AttentionTournamentTest, AKernelThatDoesntEndIsToldOfAndCanBeLeftOut) {
  at_second_ = [] { fake_fail_next("cuStreamQuery", CUDA_ERROR_NOT_READY); };
  std::string stuck;
  TuneOptions options{.patience = std::chrono::duration<double>(0)};
  options.stuck = [&](std::string_view tile) { stuck = tile; };
  EXPECT_GE(count(must(tune_it(options)), Outcome::kMeasured), 1);
  EXPECT_CONTAINS(stuck, "kBlockN=");

  at_second_ = {};
  options.stuck = {};
  options.without = {stuck};
  const TuningReport report = must(tune_it(options));
  const auto left_out = std::ranges::find_if(
      report.candidates, [&](const auto& each) { return each.candidate.tile == stuck; });
  ASSERT_NE(left_out, report.candidates.end());
  EXPECT_EQ(left_out->outcome, Outcome::kPruned);
  EXPECT_EQ(left_out->why, "it was to be left out");

  options.without = {report.candidates.front().candidate.tile};
  EXPECT_EQ(code_of(tune_it(options)), ErrorCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Devices, AttentionTournamentTest, ::testing::Values(0, 1),
                         [](const auto& each) { return each.param == 0 ? "sm90" : "sm80"; });

}  // namespace
}  // namespace fms::attention
