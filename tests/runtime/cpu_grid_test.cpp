// Blocks of a CPU device, and the threads that run them.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "runtime/cpu/host.h"
#include "runtime/cpu/thread_pool.h"
#include "tests/runtime/cpu_fixture.h"
#include "tests/sanitizers.h"

namespace fms {
namespace {

using cpu::Wait;
using testing::code_of;
using testing::CpuKernel;
using testing::message_of;
using testing::must;
using testing::must_succeed;
using testing::region;
using testing::Thread;

class CpuGridTest : public testing::CpuTest {
 protected:
  // Each thread adds its number to the element of its block, by way of shared memory and a barrier.
  static CpuKernel sum_kernel() {
    return {
        .states = {{.run = region([](Thread t) {
                      t.shared()[t.linear()] = t.linear() + t.block->block_index[0];
                    }),
                    .next = 1},
                   {.run = region([](Thread t) {
                      if (t.linear() != 0) return;
                      const auto* b = t.block;
                      std::uint32_t sum = 0;
                      for (std::uint32_t i = 0; i < b->block_dim[0]; ++i) sum += t.shared()[i];
                      const std::uint64_t block =
                          (std::uint64_t{b->block_index[2]} * b->grid_dim[1] + b->block_index[1]) *
                              b->grid_dim[0] +
                          b->block_index[0];
                      t.argument<std::uint32_t*>(0)[block] += sum;
                    }),
                    .wait = Wait::kBlock,
                    .next = 2}},
        .static_smem_bytes = 256};
  }
  static std::uint32_t expected_sum(std::uint32_t block_x) { return 63 * 32 + 64 * block_x; }
};

TEST_F(CpuGridTest, EveryBlockRunsOnce) {
  for (const Dim3 grid : {Dim3{1}, Dim3{3}, Dim3{1000}, Dim3{7, 5, 3}, Dim3{1, 300}}) {
    std::vector<std::uint32_t> out(std::size_t{grid.x} * grid.y * grid.z);
    must_succeed(run(sum_kernel(), {.grid = grid, .block = {64}}, out.data()));
    for (std::uint32_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], expected_sum(i % grid.x)) << i;
  }
}

TEST_F(CpuGridTest, CheapKernelsRunAgainAndAgain) {
  std::vector<std::uint32_t> out(20);
  CpuKernel kernel = sum_kernel();
  kernel.parameter_sizes = {8};
  const Kernel loaded = load(kernel);
  for (int i = 0; i < 500; ++i) {
    must_succeed(launch({}, {.grid = {20}, .block = {64}}, loaded, out.data()));
  }
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(out[i], 500 * expected_sum(i));
}

TEST_F(CpuGridTest, ThreadsMayLaunchAtTheSameTime) {
  CpuKernel kernel = sum_kernel();
  kernel.parameter_sizes = {8};
  const Kernel loaded = load(kernel);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&loaded, thread] {
      std::vector<std::uint32_t> out(50);
      for (std::uint32_t i = 0; i < 40; ++i) {
        const std::uint32_t blocks = thread == 0 ? 1 : 50;
        must_succeed(launch({}, {.grid = {blocks}, .block = {64}}, loaded, out.data()));
      }
      EXPECT_EQ(out[0], 40 * expected_sum(0));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CpuGridTest, TheFirstFailureStopsTheRest) {
  struct Log {
    std::atomic<std::uint32_t> begun{0};
  } log;
  const CpuKernel kernel{
      .states = {{.run = region([](Thread t) {
                    ++t.argument<Log*>(0)->begun;
                    if (t.block->block_index[0] != 7) return;
                    using Trap = void(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned);
                    testing::llvm_of_test->symbol<Trap>("fms_cpu_trap")(0, 0, 0, 7, 0, 0);
                  }),
                  .next = 1}},
      .frame_bytes = 0};
  const auto result = run(kernel, {.grid = {1 << 20}}, &log);
  EXPECT_EQ(code_of(result), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(result), "block (7,0,0), thread (0,0,0): __trap() was called");
  EXPECT_LT(log.begun, 1u << 20);
}

TEST_F(CpuGridTest, BlocksOfACooperativeLaunchRunAllAtOnce) {
  struct Meeting {
    std::atomic<std::uint32_t> arrived{0};
    std::uint32_t blocks = 0;
  } meeting;
  const CpuKernel kernel{
      .states = {{.run = region([](Thread t) { ++t.argument<Meeting*>(0)->arrived; }), .next = 1},
                 {.run = region([](Thread t) {
                    auto& m = *t.argument<Meeting*>(0);
                    t.go_to(m.arrived < 40 * m.blocks ? 1 : 2);
                  })}}};
  const std::uint32_t most = cpu::ThreadPool::get().size();
  EXPECT_LE(most, cpu::usable_cores());
  for (std::uint32_t blocks = 1; blocks <= most; ++blocks) {
    meeting.arrived = 0;
    meeting.blocks = blocks;
    must_succeed(run(kernel, {.grid = {blocks}, .block = {40}, .cooperative = true}, &meeting));
    EXPECT_EQ(meeting.arrived, 40 * blocks);
  }
  const auto more = run(kernel, {.grid = {most + 1}, .cooperative = true}, &meeting);
  EXPECT_EQ(code_of(more), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(more), "too many blocks to run all at once; at once the device holds");
}

TEST_F(CpuGridTest, ABlockThatSpinsOnOneThatHasFailedEnds) {
  if (cpu::ThreadPool::get().size() < 2) GTEST_SKIP() << "blocks run one at a time";
  const CpuKernel kernel{
      .states = {{.run = region([](Thread t) {
                    using Trap = void(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned);
                    if (t.block->block_index[0] == 0) {
                      testing::llvm_of_test->symbol<Trap>("fms_cpu_trap")(0, 0, 0, 0, 0, 0);
                    }
                    t.go_to(0);
                  })}}};
  const auto result = run(kernel, {.grid = {2}, .cooperative = true});
  EXPECT_CONTAINS(message_of(result), "block (0,0,0), thread (0,0,0): __trap() was called");
}

TEST_F(CpuGridTest, RoundingDoesNotDependOnTheThreadThatLaunches) {
  std::vector<std::uint32_t> out(4);
  const CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                       t.argument<std::uint32_t*>(0)[t.block->block_index[0]] =
                                           __builtin_ia32_stmxcsr();
                                     }),
                                     .next = 1}},
                         .frame_bytes = 0};
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);  // denormals are zero
  must_succeed(run(kernel, {.grid = {4}}, out.data()));
  EXPECT_EQ(__builtin_ia32_stmxcsr(), before | 0x8040);
  __builtin_ia32_ldmxcsr(before);
  for (const std::uint32_t control : out) EXPECT_EQ(control, 0x1f80u);
}

// g++'s ThreadSanitizer takes a thread of the child for the parent's one that had its address;
// clang's can wait forever for a lock that a thread of the parent had.
#define FMS_SKIP_FORK_UNDER_TSAN() \
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer can't follow threads after a fork"

// The status that `child` ends a forked process with.
template <typename Child>
int status_of_child(Child&& child) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(CpuGridTest, AChildProcessGoesOnUsingTheDevice) {
  FMS_SKIP_FORK_UNDER_TSAN();
  std::vector<std::uint32_t> out(200);
  CpuKernel kernel = sum_kernel();
  kernel.parameter_sizes = {8};
  const Kernel loaded = load(kernel);
  const LaunchConfig config{.grid = {200}, .block = {64}};
  must_succeed(launch({}, config, loaded, out.data()));
  const int status = status_of_child([&] {
    alarm(60);
    const auto device = Device::cpu();
    if (!device || *device != device_) return 1;
    if (!launch({}, config, loaded, out.data())) return 2;
    return out[199] == 2 * expected_sum(199) && out[0] == 2 * expected_sum(0) ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
  must_succeed(launch({}, config, loaded, out.data()));
  EXPECT_EQ(out[199], 2 * expected_sum(199));
}

// Whatever other threads are doing when the process forks, the child isn't left with their locks.
TEST_F(CpuGridTest, AForkMayComeAtAnyTime) {
  FMS_SKIP_FORK_UNDER_TSAN();
  CpuKernel kernel = sum_kernel();
  kernel.parameter_sizes = {8};
  const Kernel loaded = load(kernel);
  const LaunchConfig config{.grid = {40}, .block = {64}};
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    std::vector<std::uint32_t> out(40);
    while (!stop) must_succeed(launch({}, config, loaded, out.data()));
  });
  for (int i = 0; i < 20; ++i) {
    const int status = status_of_child([&] {
      alarm(60);
      std::vector<std::uint32_t> out(40);
      return launch({}, config, loaded, out.data()) && out[39] == expected_sum(39) ? 0 : 1;
    });
    EXPECT_EQ(status, 0) << i;
  }
  stop = true;
  busy.join();
}

}  // namespace
}  // namespace fms
