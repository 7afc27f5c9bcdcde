// attention::tune() on each target: what it finds is kept, used, and right.

#include "runtime/ops/attention_tuning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compiler/llvm_library.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/templates/jit_fixture.h"

namespace fms::attention {
namespace {

using fms::testing::must;

// Makes some tiles' kernels compute something else.
class FaultyCompiler : public Compiler {
 public:
  FaultyCompiler(std::shared_ptr<const Compiler> good, std::string victim)
      : good_(std::move(good)), victim_(std::move(victim)) {}

  const std::string& fingerprint() const override { return good_->fingerprint(); }
  Result<ObjectCode> compile(const CompileRequest& request,
                             const CancelToken& cancel) const override {
    CompileRequest changed = request;
    const std::string right = "Mask::kFull";
    if (request.source.find(victim_) != std::string::npos) {
      const std::size_t at = changed.source.find(right);
      if (at != std::string::npos) changed.source.replace(at, right.size(), "Mask::kCausal");
    }
    return good_->compile(changed, cancel);
  }

 private:
  std::shared_ptr<const Compiler> good_;
  std::string victim_;
};

class AttentionTuningTest : public JitTest {
 protected:
  Jit make_jit(std::shared_ptr<const Compiler> compiler = nullptr) {
    JitOptions options;
    options.cache_dirs = {folder_.path() / "store"};
    options.lock_dir = folder_.path() / "locks";
    options.policy = Policy::kExact;
    options.log_level = LogLevel::kError;
    options.toolkit = test_toolkit_search();
    options.compiler = std::move(compiler);
    return must(Jit::create(std::move(options)));
  }

  Problem problem(int length) const {
    return {.dtype = on_cpu() ? DType::kFloat32 : DType::kBFloat16,
            .batch = 1,
            .heads = 2,
            .kv_heads = 1,
            .seq_q = length,
            .seq_k = length,
            .head_dim = 16,
            .return_lse = true};
  }

  fms::testing::TemporaryFolder folder_;
};

TEST_P(AttentionTuningTest, TheFastestIsKeptWithItsEvidenceAndUsedFromThenOn) {
  Jit jit = make_jit();
  std::vector<Problem> problems = {problem(100)};
  if (!on_cpu()) problems.push_back(problem(65));  // a tile of 128 keys compiles for seconds
  std::string last;
  TuneOptions options{.seconds = 120, .most = 2};
  options.progress = [&](std::string_view doing, std::size_t done, std::size_t total) {
    EXPECT_LE(done, total);
    last = doing;
  };
  const TuningReport report = must(tune(jit, device_, problems, options));
  EXPECT_TRUE(report.kept);
  EXPECT_FALSE(last.empty());
  EXPECT_GE(report.speedup, 1);
  const TunedCandidate& own = report.candidates.front();
  EXPECT_EQ(own.outcome, Outcome::kMeasured);
  EXPECT_EQ(own.ms.size(), problems.size());
  EXPECT_EQ(report.candidates[report.best].ms.size(), problems.size());
  for (const TunedCandidate& each : report.candidates) {
    EXPECT_NE(each.outcome, Outcome::kWrong) << each.candidate.tile << ": " << each.why;
    EXPECT_EQ(each.why.empty(), each.outcome == Outcome::kMeasured) << each.candidate.tile;
  }
  const auto evidence = nlohmann::json::parse(report.tuning.evidence);
  EXPECT_EQ(evidence["problems"].size(), problems.size());
  EXPECT_EQ(evidence["best"], report.tuning.choice);

  Jit next = make_jit();
  const Tuning* kept = tuning_of(next, *device_, problem(40));
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(kept->choice, report.tuning.choice);
  EXPECT_EQ(kept->evidence, report.tuning.evidence);
  // New lengths needn't wait for a compile.
  for (const Specialization& each :
       must(resolve(to_manifest_entry(problem(65)), next.target_of(*device_), {},
                    next.tunings(next.target_of(*device_).kind)))) {
    if (tile_of({.specialization = each, .config = {}}) != kept->choice || each.has_exact_size()) {
      continue;
    }
    EXPECT_TRUE(must(next.has(each, next.target_of(*device_))));
  }
}

TEST_P(AttentionTuningTest, AWrongVariantNeverWins) {
  Jit good = make_jit();
  const Room room = room_for(good, *device_);
  const auto all = candidates(problem(100), room, Access::kBulk, device_->info().sm_count);
  ASSERT_GE(all.size(), 2u);
  ASSERT_TRUE(all[1].pruned.empty());
  // What tells the second candidate from the first.
  const auto compiler = must(good.compiler(good.target_of(*device_).kind));
  std::string victim;
  const std::string own = " " + all[0].tile + " ";
  for (std::size_t at = 0; at < all[1].tile.size();) {
    const std::size_t end = std::min(all[1].tile.find(' ', at), all[1].tile.size());
    const std::string word = all[1].tile.substr(at, end - at);
    if (own.find(" " + word + " ") == std::string::npos) victim = word;
    at = end + 1;
  }
  ASSERT_FALSE(victim.empty());
  victim.insert(victim.find('='), " ").insert(victim.find('=') + 1, " ");

  Jit jit = make_jit(std::make_shared<FaultyCompiler>(compiler, victim));
  const Problem one[] = {problem(100)};
  const TuningReport report = must(tune(jit, device_, one, {.seconds = 120, .most = 2}));
  std::size_t wrong = 0;
  for (const TunedCandidate& each : report.candidates) {
    if (each.outcome != Outcome::kWrong) continue;
    ++wrong;
    EXPECT_NE(each.candidate.tile, report.tuning.choice);
    EXPECT_NE(each.why.find("is off by"), std::string::npos) << each.why;
  }
  EXPECT_GE(wrong, 1u) << victim;
}

TEST_P(AttentionTuningTest, WhatCantBeTunedIsRefused) {
  Jit jit = make_jit();
  Problem empty[] = {problem(100)};
  empty[0].seq_k = 0;
  EXPECT_EQ(fms::testing::code_of(tune(jit, device_, empty)), ErrorCode::kInvalidArgument);
  TuneOptions stopped;
  stopped.cancel.cancel();
  const Problem one[] = {problem(100)};
  EXPECT_EQ(fms::testing::code_of(tune(jit, device_, one, stopped)), ErrorCode::kCancelled);
}

FMS_ON_EVERY_TARGET(AttentionTuningTest);

}  // namespace
}  // namespace fms::attention
