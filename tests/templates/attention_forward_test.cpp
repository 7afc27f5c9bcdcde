// attention::forward() up to the launch: on the fake driver and with a fake compiler.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <mutex>
#include <numbers>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/ops/attention.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms::attention {
namespace {

using fms::testing::must;
using fms::testing::must_succeed;

// Makes code that the fake driver loads, and keeps the sources.
class RecordingCompiler : public fms::testing::FakeCompiler {
 public:
  Result<ObjectCode> compile(const CompileRequest& request, const CancelToken&) const override {
    const std::lock_guard lock(mutex_);
    sources.push_back(request.source);
    ObjectCode object =
        fake_object({.name = request.entry, .parameter_sizes = {8, 8, 8, 8, 8, 96, 4, 4, 4, 4, 4}},
                    request.target);
    object.compiler = fingerprint();
    return object;
  }

  mutable std::vector<std::string> sources;

 private:
  mutable std::mutex mutex_;
};

class AttentionForwardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_fake_driver();
    fake_reset();
    device_ = must(Device::open(0));
    remake(Policy::kDynamic);
  }

  void remake(Policy policy) {
    JitOptions options = fms::testing::options_in(folder_.path(), compiler_);
    options.cache_dirs.clear();
    options.record = folder_.path() / "recorded.jsonl";
    options.log_level = LogLevel::kError;
    options.policy = policy;
    jit_.emplace(must(Jit::create(std::move(options))));
  }

  Arguments arguments() {
    auto* data = reinterpret_cast<std::byte*>(0x10000);
    const Strides q = bhsd_strides(problem_.heads, problem_.seq_q, problem_.head_dim);
    const Strides kv = bhsd_strides(problem_.kv_heads, problem_.seq_k, problem_.head_dim);
    return {.q = data,
            .k = data,
            .v = data,
            .o = data,
            .q_strides = q,
            .k_strides = kv,
            .v_strides = kv,
            .o_strides = q};
  }

  Result<void> run(const Arguments& arguments) {
    return forward(*jit_, device_, {}, problem_, arguments);
  }

  template <typename Edit>
  std::string refusal_after(Edit edit) {
    Arguments changed = arguments();
    edit(changed);
    const Result<void> result = run(changed);
    EXPECT_TRUE(fake_launches().empty());
    EXPECT_EQ(fms::testing::code_of(result), ErrorCode::kInvalidArgument);
    return fms::testing::message_of(result);
  }

  std::string recorded() const {
    std::ifstream file(folder_.path() / "recorded.jsonl");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  fms::testing::TemporaryFolder folder_;
  std::shared_ptr<RecordingCompiler> compiler_ = std::make_shared<RecordingCompiler>();
  std::shared_ptr<Device> device_;
  std::optional<Jit> jit_;
  Problem problem_{.batch = 2, .heads = 4, .kv_heads = 2, .seq_q = 100, .seq_k = 50};
};

template <typename T>
T value_of(const std::vector<std::byte>& bytes) {
  T value;
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

TEST_F(AttentionForwardTest, TheLaunchIsThePlansAndTheArgumentsAreTheKernels) {
  must_succeed(run(arguments()));
  ASSERT_EQ(fake_launches().size(), 1u);
  const FakeLaunch launch = fake_launches()[0];
  const Plan made = must(plan(problem_, device_->info()));
  EXPECT_EQ(launch.kernel, "attention_forward_simt");
  EXPECT_EQ(launch.grid, made.config.grid);
  EXPECT_EQ(launch.block, made.config.block);
  EXPECT_EQ(launch.dynamic_smem_bytes, made.config.dynamic_smem_bytes);
  ASSERT_EQ(launch.arguments.size(), 11u);
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[0]), 0x10000u);
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[4]), 0u);
  using Layout = std::array<std::int64_t, 12>;
  EXPECT_EQ(value_of<Layout>(launch.arguments[5]),
            (Layout{25600, 6400, 64, 6400, 3200, 64, 6400, 3200, 64, 25600, 6400, 64}));
  EXPECT_EQ(value_of<int>(launch.arguments[6]), 4);
  EXPECT_EQ(value_of<int>(launch.arguments[7]), 8);
  EXPECT_EQ(value_of<int>(launch.arguments[8]), 100);
  EXPECT_EQ(value_of<int>(launch.arguments[9]), 50);
  EXPECT_FLOAT_EQ(value_of<float>(launch.arguments[10]), 0.125f * std::numbers::log2e_v<float>);
}

TEST_F(AttentionForwardTest, TheSameProblemCompilesOnce) {
  must_succeed(run(arguments()));
  must_succeed(run(arguments()));
  EXPECT_EQ(fake_launches().size(), 2u);
  EXPECT_EQ(compiler_->sources.size(), 1u);
}

TEST_F(AttentionForwardTest, ThePolicyDecidesWhetherSizesAreConstants) {
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "fms::Size<fms::kDynamic> kSeqQ");
  remake(Policy::kExact);
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "fms::Size<100> kSeqQ");
}

TEST_F(AttentionForwardTest, NoQueriesLaunchAndCompileNothing) {
  problem_.seq_q = 0;
  must_succeed(run(arguments()));
  problem_.seq_k = 0;
  must_succeed(run({}));  // null pointers, where there is nothing to point at
  EXPECT_TRUE(fake_launches().empty());
  EXPECT_TRUE(compiler_->sources.empty());
}

TEST_F(AttentionForwardTest, NoKeysNeedNoPointersAndAreLaunched) {
  problem_.seq_k = 0;
  Arguments none = arguments();
  none.k = none.v = nullptr;
  must_succeed(run(none));
  EXPECT_EQ(fake_launches().size(), 1u);
}

TEST_F(AttentionForwardTest, RowsThatAreNotAlignedTakeTheVariantThatReadsElements) {
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "kVectorLoads = true");
  Arguments odd_pointer = arguments();
  odd_pointer.k = static_cast<const std::byte*>(odd_pointer.k) + 2;
  must_succeed(run(odd_pointer));
  EXPECT_CONTAINS(compiler_->sources.back(), "kVectorLoads = false");
  EXPECT_EQ(compiler_->sources.size(), 2u);

  Arguments odd_stride = arguments();
  odd_stride.v_strides.row = 65;
  must_succeed(run(odd_stride));
  EXPECT_EQ(compiler_->sources.size(), 2u);  // the same variant as before
}

TEST_F(AttentionForwardTest, ARunIsRecordedAsItsProblem) {
  must_succeed(run(arguments()));
  must_succeed(run(arguments()));
  EXPECT_EQ(recorded(), to_json_line(to_manifest_entry(problem_)) + "\n");
}

TEST_F(AttentionForwardTest, TheVariantForUnalignedRowsIsRecordedAsItsTemplate) {
  Arguments odd = arguments();
  odd.q = static_cast<const std::byte*>(odd.q) + 2;
  must_succeed(run(odd));
  EXPECT_CONTAINS(recorded(), "\"template\":\"attention_forward_simt\"");
  EXPECT_CONTAINS(recorded(), "\"kVectorLoads\":false");
}

TEST_F(AttentionForwardTest, WrongArgumentsAreRefusedByName) {
  EXPECT_EQ(refusal_after([](Arguments& a) { a.k = nullptr; }),
            "can't compute attention: k is null, and has 50 rows");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.q = static_cast<const std::byte*>(a.q) + 1; }),
                  "q is at an address");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.o_strides.row = 32; }), "overlap");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.lse = reinterpret_cast<float*>(0x10000); }),
                  "return_lse is false");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.scale = std::nanf(""); }), "scale is nan");
  problem_.return_lse = true;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "lse is null");
  problem_.head_dim = 300;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "head_dim 300");
}

}  // namespace
}  // namespace fms::attention
