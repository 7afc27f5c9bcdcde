// What the threads of a block do together on a CPU device, and what is said of them if they fail.

#include <set>

#include "tests/runtime/cpu_fixture.h"

namespace fms {
namespace {

using cpu::Operation;
using cpu::Wait;
using testing::CpuKernel;
using testing::message_of;
using testing::must_succeed;
using testing::region;
using testing::Thread;

class CpuBlockTest : public testing::CpuTest {};

const cpu::Region kNothing = region([](Thread) {});

// Adds one to the element of each thread, and writes how many were run at once.
CpuKernel simple_kernel() {
  return {
      .states = {{.run =
                      [](cpu::Block* block, cpu::Warp* warp, std::uint32_t lane,
                         std::uint32_t count, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
                        EXPECT_EQ(warp, nullptr);
                        const Thread first{block, warp, lane, x, y, z};
                        auto* out = first.argument<std::uint32_t*>(0) + first.linear();
                        for (std::uint32_t i = 0; i < count; ++i) out[i] += 100 + count;
                        const std::uint32_t thread = block->thread;
                        EXPECT_TRUE(thread == 0 || thread == first.linear()) << thread;
                      },
                  .next = 1}},
      .frame_bytes = 0};
}

TEST_F(CpuBlockTest, ThreadsThatKeepNothingRunARowAtATime) {
  std::vector<std::uint32_t> out(7 * 3 * 2);
  must_succeed(run(simple_kernel(), {.block = {7, 3, 2}}, out.data()));
  EXPECT_EQ(out, std::vector<std::uint32_t>(42, 107));
}

TEST_F(CpuBlockTest, CheckedThreadsRunOneAtATimeAndTheBlockSaysWhich) {
  CpuKernel kernel = simple_kernel();
  kernel.checked = true;
  std::vector<std::uint32_t> out(7 * 3 * 2);
  must_succeed(run(kernel, {.block = {7, 3, 2}}, out.data()));
  EXPECT_EQ(out, std::vector<std::uint32_t>(42, 101));
}

// The rows that regions were given, as "warp:lane+count@x,y,z".
struct RowLog {
  std::multiset<std::string> rows;
};

std::multiset<std::string> rows_of(const auto& run_with, Dim3 block) {
  RowLog log;
  const CpuKernel kernel{
      .states = {{.run =
                      [](cpu::Block* b, cpu::Warp* warp, std::uint32_t lane, std::uint32_t count,
                         std::uint32_t x, std::uint32_t y, std::uint32_t z) {
                        const Thread first{b, warp, lane, x, y, z};
                        EXPECT_EQ(first.linear(), warp->first_thread + lane);
                        first.argument<RowLog*>(0)->rows.insert(
                            std::to_string(warp->first_thread / 32) + ":" + std::to_string(lane) +
                            "+" + std::to_string(count) + "@" + std::to_string(x) + "," +
                            std::to_string(y) + "," + std::to_string(z));
                      },
                  .next = 1}}};
  must_succeed(run_with(kernel, LaunchConfig{.block = block}, &log));
  return log.rows;
}

TEST_F(CpuBlockTest, WarpsAreCutAtTheRowsOfTheBlock) {
  const auto with = [this](const auto&... arguments) { return run(arguments...); };
  using Rows = std::multiset<std::string>;
  EXPECT_EQ(rows_of(with, {70}), (Rows{"0:0+32@0,0,0", "1:0+32@32,0,0", "2:0+6@64,0,0"}));
  EXPECT_EQ(rows_of(with, {20, 2}), (Rows{"0:0+20@0,0,0", "0:20+12@0,1,0", "1:0+8@12,1,0"}));
  EXPECT_EQ(rows_of(with, {16, 1, 3}), (Rows{"0:0+16@0,0,0", "0:16+16@0,0,1", "1:0+16@0,0,2"}));
  EXPECT_EQ(rows_of(with, {1, 33}).size(), 33u);
  EXPECT_EQ(rows_of(with, {40, 1}).size(), 2u);
}

// A sum over the block by halves, with a barrier at each round.
CpuKernel sum_kernel() {
  return {.states = {{.run = region([](Thread t) {
                        t.shared()[t.linear()] = t.linear() + 1;
                        t.kept(0) = t.block->block_dim[0] * t.block->block_dim[1] / 2;
                      }),
                      .next = 1},
                     {.run = region([](Thread t) {
                        const std::uint32_t half = t.kept(0);
                        if (half == 0) {
                          if (t.linear() == 0) *t.argument<std::uint32_t*>(0) = t.shared()[0];
                          return t.go_to(2);
                        }
                        if (t.linear() < half)
                          t.shared()[t.linear()] += t.shared()[t.linear() + half];
                        t.kept(0) = half / 2;
                        t.go_to(1);
                      }),
                      .wait = Wait::kBlock}},
          .frame_bytes = 128,
          .static_smem_bytes = 4096};
}

TEST_F(CpuBlockTest, BarriersInALoopOrderSharedMemory) {
  for (const Dim3 block : {Dim3{1}, Dim3{64}, Dim3{1024}, Dim3{8, 32}}) {
    std::uint32_t sum = 0;
    must_succeed(run(sum_kernel(), {.block = block}, &sum));
    const std::uint32_t n = block.x * block.y;
    EXPECT_EQ(sum, n * (n + 1) / 2) << n;
  }
}

TEST_F(CpuBlockTest, SharedMemoryIsStaticThenDynamicAndAligned) {
  struct Seen {
    std::uintptr_t shared = 0;
    std::uint32_t dynamic = 0;
    std::uintptr_t arguments = 0;
  } seen;
  const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                       auto& out = *t.argument<Seen*>(0);
                                       out.shared = reinterpret_cast<std::uintptr_t>(t.shared());
                                       out.dynamic = t.block->dynamic_smem_bytes;
                                       out.arguments =
                                           reinterpret_cast<std::uintptr_t>(t.block->arguments);
                                       std::memset(t.block->shared, 1, 100 + out.dynamic);
                                     }),
                                     .next = 1}},
                         .static_smem_bytes = 100};
  must_succeed(run(kernel, {.dynamic_smem_bytes = 232448 - 100}, &seen));
  EXPECT_EQ(seen.shared % 1024, 0u);
  EXPECT_EQ(seen.arguments % 64, 0u);
  EXPECT_EQ(seen.dynamic, 232448u - 100);
}

TEST_F(CpuBlockTest, ThreadsThatHaveReturnedAreNotWaitedForAtABarrier) {
  std::vector<std::uint32_t> out(96);
  const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                       t.offer(t.linear() % 2);
                                       t.go_to(t.linear() < 40 ? 1 : 2);
                                     })},
                                    {.run = region([](Thread t) {
                                       t.argument<std::uint32_t*>(0)[t.linear()] = t.got();
                                     }),
                                     .wait = Wait::kBlock,
                                     .operation = Operation::kBlockCount,
                                     .next = 2}}};
  must_succeed(run(kernel, {.block = {96}}, out.data()));
  for (std::uint32_t i = 0; i < 96; ++i) EXPECT_EQ(out[i], i < 40 ? 20u : 0u) << i;
}

TEST_F(CpuBlockTest, BarriersReducePredicatesOverTheBlock) {
  const auto reduce = [&](Operation operation, std::uint32_t limit) {
    struct {
      std::uint32_t limit, result;
    } out{limit, 77};
    const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                         t.offer(t.linear() < *t.argument<std::uint32_t*>(0) ? 5
                                                                                             : 0);
                                       }),
                                       .next = 1},
                                      {.run = region([](Thread t) {
                                         if (t.linear() == 69)
                                           t.argument<std::uint32_t*>(0)[1] = t.got();
                                       }),
                                       .wait = Wait::kBlock,
                                       .operation = operation,
                                       .next = 2}}};
    must_succeed(run(kernel, {.block = {70}}, &out));
    return out.result;
  };
  EXPECT_EQ(reduce(Operation::kBlockCount, 33), 33u);
  EXPECT_EQ(reduce(Operation::kBlockAnd, 69), 0u);
  EXPECT_EQ(reduce(Operation::kBlockAnd, 70), 1u);
  EXPECT_EQ(reduce(Operation::kBlockOr, 0), 0u);
  EXPECT_EQ(reduce(Operation::kBlockOr, 1), 1u);
}

// The first warp spins on what the last one writes, and the other way round.
TEST_F(CpuBlockTest, WarpsThatSpinOnEachOtherBothGoOn) {
  std::uint32_t ball = 0;
  const CpuKernel kernel{.states = {{.run = region([](Thread t) { t.kept(0) = 0; }), .next = 1},
                                    {.run = region([](Thread t) {
                                       auto& shared_ball = *t.argument<std::uint32_t*>(0);
                                       if (t.lane != 0) return t.go_to(2);
                                       const std::uint32_t me = t.linear() / 32;
                                       if (shared_ball % 2 == me) {
                                         ++shared_ball;
                                         ++t.kept(0);
                                       }
                                       t.go_to(t.kept(0) == 1000 ? 2 : 1);
                                     })}},
                         .frame_bytes = 128};
  must_succeed(run(kernel, {.block = {64}}, &ball));
  EXPECT_EQ(ball, 2000u);
}

TEST_F(CpuBlockTest, BarriersThatNeverMeetAreAnErrorThatSaysWhoWaitsWhere) {
  const CpuKernel kernel{
      .states = {
          {.run = region([](Thread t) { t.go_to(t.linear() < 32 ? 1 : 2); })},
          {.run = kNothing, .wait = Wait::kBlock, .next = 3, .file = "reduce.cu", .line = 12},
          {.run = kNothing,
           .wait = Wait::kBlock,
           .operation = Operation::kBlockOr,
           .next = 3,
           .file = "reduce.cu",
           .line = 19}}};
  const auto result = run(kernel, {.grid = {2}, .block = {64, 2}});
  EXPECT_EQ(testing::code_of(result), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(result), "failure of kernel on cpu (");
  EXPECT_CONTAINS(message_of(result), "with grid 2x1x1, block 64x2x1");
  EXPECT_CONTAINS(message_of(result),
                  ": block (0,0,0): 32 threads wait at reduce.cu:12 (__syncthreads; the first is "
                  "(0,0,0)), 96 at reduce.cu:19 (__syncthreads_or; the first is (32,0,0)): they "
                  "never meet");
  std::uint32_t sum = 0;
  must_succeed(run(sum_kernel(), {.block = {64}}, &sum));
  EXPECT_EQ(sum, 2080u) << "the device is still good";
}

TEST_F(CpuBlockTest, AFailedAssertionNamesBlockThreadAndLine) {
  const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                       if (t.block->block_index[0] != 1 || t.x != 5) return;
                                       using Fail = void(const char*, const char*, unsigned,
                                                         const char*, unsigned, unsigned, unsigned,
                                                         unsigned, unsigned, unsigned);
                                       testing::llvm_of_test->symbol<Fail>("fms_cpu_assert_fail")(
                                           "i < n", "saxpy.cu", 9, "saxpy", t.x, t.y, t.z, 1, 0, 0);
                                     }),
                                     .next = 1}},
                         .frame_bytes = 0};
  const auto result = run(kernel, {.grid = {3}, .block = {8}});
  EXPECT_EQ(testing::code_of(result), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(result),
                  "block (1,0,0), thread (5,0,0): assertion `i < n` failed at saxpy.cu:9 in saxpy");
  must_succeed(device_->synchronize());
}

TEST_F(CpuBlockTest, TrapsAndReportsEndTheKernel) {
  const CpuKernel trap{
      .states = {{.run = region([](Thread t) {
                    using Trap = void(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned);
                    testing::llvm_of_test->symbol<Trap>("fms_cpu_trap")(t.x, t.y, t.z, 0, 0, 0);
                  }),
                  .next = 1}}};
  EXPECT_CONTAINS(message_of(run(trap, {.block = {2}})),
                  "block (0,0,0), thread (0,0,0): __trap() was called");
  const CpuKernel report{.states = {{.run = region([](Thread t) {
                                       if (t.linear() != 37) return;
                                       testing::llvm_of_test->symbol<void(const char*)>(
                                           "fms_cpu_report")("reads past the end of an array");
                                     }),
                                     .next = 1}},
                         .checked = true};
  EXPECT_CONTAINS(message_of(run(report, {.block = {10, 8}})),
                  "block (0,0,0), thread (7,3,0): reads past the end of an array");
}

TEST_F(CpuBlockTest, WhatAKernelPrintsIsOutOnceTheDeviceIsSynchronised) {
  const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                       testing::llvm_of_test->symbol<int(const char*, ...)>(
                                           "printf")("thread %u of %s\n", t.x, "four");
                                     }),
                                     .next = 1}}};
  ::testing::internal::CaptureStdout();
  must_succeed(run(kernel, {.block = {2}}));
  must_succeed(device_->synchronize());
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "thread 0 of four\nthread 1 of four\n");
}

}  // namespace
}  // namespace fms
