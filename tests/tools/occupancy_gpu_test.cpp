#include <gtest/gtest.h>

#include "runtime/jit.h"
#include "tools/fms/inspection.h"

namespace fms::program {
namespace {

struct Case {
  const char* name;
  Specialization::NamedText values;
};

TEST(OccupancyGpuTest, TheDriverComputesTheSame) {
  const auto device = Device::open();
  if (!device) GTEST_SKIP() << "no CUDA device";
  if (sm_limits((*device)->info().compute_capability) == nullptr) {
    GTEST_SKIP() << "an SM of " << (*device)->target().arch << " isn't known";
  }
  auto options = JitOptions::from_environment();  // where NVRTC is
  ASSERT_TRUE(options.has_value()) << options.error().message;
  options->policy = Policy::kExact;
  auto jit = Jit::create(*std::move(options));
  ASSERT_TRUE(jit.has_value()) << jit.error().message;
  for (const Case& one :
       {Case{"saxpy", {{"kN", "4096"}}}, Case{"gemm", {}}, Case{"transpose", {}},
        Case{"block_reduce", {}}, Case{"attention_forward_simt", {{"kHeadDim", "64"}}}}) {
    const auto specialization =
        Specialization::parse(KernelTemplate::embedded(one.name).value(), one.values);
    ASSERT_TRUE(specialization.has_value()) << specialization.error().message;
    const auto kernel = jit->get(*specialization, *device);
    ASSERT_TRUE(kernel.has_value()) << kernel.error().message;
    for (const std::uint32_t smem : {0u, 4096u, 40'000u}) {
      const auto found =
          inspect(*jit, *specialization, {(*device)->target()}, {.dynamic_smem_bytes = smem});
      ASSERT_TRUE(found.has_value()) << found.error().message;
      const auto& computed = found->targets.front().occupancy;
      ASSERT_TRUE(computed.has_value()) << computed.error().message;
      const auto said = kernel->occupancy(kernel->resources().max_threads, static_cast<int>(smem));
      ASSERT_TRUE(said.has_value()) << said.error().message;
      EXPECT_EQ(computed->blocks, *said) << one.name << " with " << smem << " bytes";
    }
  }
}

}  // namespace
}  // namespace fms::program
