// attention::forward() on the fake driver and with a fake compiler.

#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/ops/attention.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/runtime/fake_driver/fake_driver.h"
#include "tests/templates/fake_attention.h"

namespace fms::attention {

using fms::testing::must;
using fms::testing::must_succeed;

// Makes code that the fake driver loads, and keeps the sources.
class RecordingCompiler : public fms::testing::FakeCompiler {
 public:
  Result<ObjectCode> compile(const CompileRequest& request, const CancelToken&) const override {
    const std::lock_guard lock(mutex_);
    sources.push_back(request.source);
    ObjectCode object =
        fake_object(fake_forward_kernel(request.entry, mods_bytes, maps), request.target);
    object.compiler = fingerprint();
    return object;
  }

  mutable std::vector<std::string> sources;
  std::uint32_t mods_bytes = 1;
  std::array<std::uint32_t, 3> maps{128, 128, 128};

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

  void remake(Policy policy, std::optional<Target> target = std::nullopt) {
    JitOptions options = fms::testing::options_in(folder_.path(), compiler_);
    options.cache_dirs.clear();
    options.record = folder_.path() / "recorded.jsonl";
    options.log_level = LogLevel::kError;
    options.policy = policy;
    options.target = std::move(target);
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

}  // namespace fms::attention
