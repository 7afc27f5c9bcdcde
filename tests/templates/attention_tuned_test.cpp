// What attention::forward() makes of tunings: on the fake driver and with a fake compiler.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_tuning.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/runtime/fake_driver/fake_driver.h"
#include "tests/templates/fake_attention.h"

namespace fms::attention {
namespace {

using fms::testing::must;
using fms::testing::must_succeed;

class LoadableCompiler : public fms::testing::FakeCompiler {
 public:
  using FakeCompiler::FakeCompiler;
  Result<ObjectCode> compile(const CompileRequest& request, const CancelToken&) const override {
    ++compiles;
    ObjectCode object = fake_object(fake_forward_kernel(request.entry), request.target);
    object.compiler = fingerprint();
    return object;
  }
};

class AttentionTunedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_fake_driver();
    fake_reset();
    device_ = must(Device::open(0));
  }

  Jit make_jit(std::shared_ptr<const Compiler> compiler = nullptr) {
    JitOptions options =
        fms::testing::options_in(folder_.path(), compiler != nullptr ? compiler : compiler_);
    options.log_level = LogLevel::kError;
    options.policy = Policy::kExact;
    return must(Jit::create(std::move(options)));
  }

  // A tuning for problem_ on the device: another tile than the plan's.
  Tuning tuning() {
    Jit jit = make_jit();
    const Room room = room_for(jit, *device_);
    const ForwardPlan own = must(plan_with(problem_, room, Access::kBulk));
    const KernelTemplate& kernel = own.plan.specialization.kernel_template();
    for (const Candidate& each :
         candidates(problem_, room, Access::kBulk, device_->info().sm_count)) {
      if (each.pruned.empty() && each.smem_bytes != own.plan.config.dynamic_smem_bytes) {
        smem_ = static_cast<std::uint32_t>(each.smem_bytes);
        return {.template_name = kernel.name(),
                .template_digest = kernel.digest().hex(),
                .target = jit.target_of(*device_).to_string(),
                .device = tuned_device(device_->info()),
                .compiler = compiler_->fingerprint(),
                .problem = tile_class(problem_, room, Access::kBulk),
                .choice = each.tile,
                .evidence = "{}"};
      }
    }
    ADD_FAILURE() << "no other tile";
    return {};
  }

  void keep(const Tuning& tuning) {
    Jit jit = make_jit();
    ASSERT_TRUE(jit.store()->put_tuning(tuning));
  }

  // The shared memory of the launch that a call makes.
  std::uint32_t launched(Jit& jit, Policy policy = Policy::kExact) {
    auto* data = reinterpret_cast<std::byte*>(0x10000);
    const Strides q = bhsd_strides(problem_.heads, problem_.seq_q, problem_.head_dim);
    const Strides kv = bhsd_strides(problem_.kv_heads, problem_.seq_k, problem_.head_dim);
    const Arguments arguments{.q = data,
                              .k = data,
                              .v = data,
                              .o = data,
                              .q_strides = q,
                              .k_strides = kv,
                              .v_strides = kv,
                              .o_strides = q};
    const std::size_t before = fake_launches().size();
    must_succeed(forward(jit, device_, {}, problem_, arguments, {.policy = policy}));
    return fake_launches().at(before).dynamic_smem_bytes;
  }
  std::uint32_t launched() {
    Jit jit = make_jit();
    return launched(jit);
  }
  std::uint32_t own_smem() {
    return must(plan(problem_, device_->info())).config.dynamic_smem_bytes;
  }

  fms::testing::TemporaryFolder folder_;
  std::shared_ptr<LoadableCompiler> compiler_ = std::make_shared<LoadableCompiler>();
  std::shared_ptr<Device> device_;
  Problem problem_{.batch = 4, .heads = 8, .kv_heads = 8, .seq_q = 2048, .seq_k = 2048};
  std::uint32_t smem_ = 0;
};

TEST_F(AttentionTunedTest, ATunedTileIsUsedByBothVariantsAndByAllLengths) {
  keep(tuning());
  ASSERT_NE(smem_, own_smem());
  Jit jit = make_jit();
  EXPECT_EQ(launched(jit, Policy::kExact), smem_);
  EXPECT_EQ(launched(jit, Policy::kDynamic), smem_);
  problem_.seq_q = 1000;
  problem_.seq_k = 3000;
  problem_.batch = 1;
  EXPECT_EQ(launched(jit, Policy::kExact), smem_);
  problem_.mask = Mask::kCausal;
  EXPECT_EQ(launched(jit), own_smem());
}

// So that a process doesn't change its results while it runs.
TEST_F(AttentionTunedTest, AJitKeepsToWhatItReadAtFirst) {
  Jit early = make_jit();
  EXPECT_EQ(launched(early), own_smem());
  keep(tuning());
  EXPECT_EQ(launched(early), own_smem());
  EXPECT_EQ(launched(), smem_);
}

TEST_F(AttentionTunedTest, WhatWasMeasuredElsewhereSaysNothing) {
  const Tuning right = tuning();
  for (std::string Tuning::*member :
       {&Tuning::device, &Tuning::template_name, &Tuning::compiler, &Tuning::problem}) {
    Tuning other = right;
    other.*member += "x";
    keep(other);
  }
  Tuning other = right;
  other.template_digest = sha256("another version").hex();
  keep(other);
  other = right;
  other.target = "cuda:sm_90";
  keep(other);
  EXPECT_EQ(launched(), own_smem());
  device_ = must(Device::open(1));
  keep(right);
  EXPECT_EQ(launched(), own_smem());  // on the A100
  device_ = must(Device::open(0));
  EXPECT_EQ(launched(), smem_);
}

TEST_F(AttentionTunedTest, ATileThatCantBeIsPassedOver) {
  Tuning wrong = tuning();
  wrong.choice = "kBlockN=17 kStages=9";
  keep(wrong);
  EXPECT_EQ(launched(), own_smem());
}

TEST_F(AttentionTunedTest, WarmingPreparesThePlansTileAndTheTunedOne) {
  keep(tuning());
  Jit jit = make_jit();
  const Target target = jit.target_of(*device_);
  const auto kernels =
      must(resolve(to_manifest_entry(problem_), target, {}, jit.tunings(Target::Kind::kCuda)));
  EXPECT_EQ(kernels.size(), 4u);  // exact and dynamic of each
  for (const Specialization& each : kernels) must(jit.build(each, target));
  const int compiled = compiler_->compiles;
  EXPECT_EQ(launched(), smem_);
  EXPECT_EQ(compiler_->compiles, compiled);
}

TEST_F(AttentionTunedTest, ABlockTableIsForThePlansOwnTile) {
  constexpr const char* kHidesNothing =
      "struct Mods { __device__ bool mask(int, int, int, int) const { return true; } };";
  problem_.mods = must(Mods::make("m.cuh", kHidesNothing));
  Jit jit = make_jit();
  const Tunings tunings({tuning()});
  EXPECT_EQ(must(plans(problem_, jit.target_of(*device_), tunings)).size(), 2u);
  problem_.block_table = true;
  EXPECT_EQ(must(plans(problem_, jit.target_of(*device_), tunings)).size(), 1u);
}

TEST_F(AttentionTunedTest, NothingIsTunedWithoutATuning) {
  Jit jit = make_jit();
  EXPECT_EQ(jit.tunings(Target::Kind::kCuda).id(), 0u);
  EXPECT_EQ(tuning_of(jit, *device_, problem_), nullptr);
  keep(tuning());
  Jit next = make_jit();
  EXPECT_NE(next.tunings(Target::Kind::kCuda).id(), 0u);
  EXPECT_EQ(next.tunings(Target::Kind::kCpu).id(), 0u);
  ASSERT_NE(tuning_of(next, *device_, problem_), nullptr);
  // Another compiler has other code, which may spill.
  Jit other = make_jit(std::make_shared<LoadableCompiler>("fake 2.0 build 1"));
  EXPECT_EQ(tuning_of(other, *device_, problem_), nullptr);
}

}  // namespace
}  // namespace fms::attention
