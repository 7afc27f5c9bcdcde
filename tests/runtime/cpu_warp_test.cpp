// What the lanes of a warp do together on a CPU device.

#include <algorithm>

#include "tests/runtime/cpu_fixture.h"

namespace fms {
namespace {

using cpu::Operation;
using cpu::Wait;
using testing::CpuKernel;
using testing::must_succeed;
using testing::region;
using testing::Thread;

constexpr std::uint32_t kFull = 0xffff'ffff;

class CpuWarpTest : public testing::CpuTest {
 protected:
  // Each thread offers its `offered`, with its `masks` and `sources`, and keeps what it gets.
  struct Exchange {
    std::vector<std::uint64_t> offered;
    std::vector<std::uint32_t> masks, sources;
    std::vector<std::uint32_t> got;
  };
  static CpuKernel exchange_kernel(Operation operation) {
    return {
        .states = {
            {.run = region([](Thread t) {
               const auto& e = *t.argument<Exchange*>(0);
               t.offer(e.offered[t.linear()], e.masks[t.linear()], e.sources[t.linear()]);
             }),
             .next = 1},
            {.run = region([](Thread t) { t.argument<Exchange*>(0)->got[t.linear()] = t.got(); }),
             .wait = Wait::kWarp,
             .operation = operation,
             .next = 2}}};
  }
  std::vector<std::uint32_t> exchange(Operation operation, Exchange e) {
    const std::size_t threads = e.offered.size();
    e.masks.resize(threads, kFull);
    e.sources.resize(threads);
    e.got.resize(threads);
    must_succeed(run(exchange_kernel(operation), {.block = {std::uint32_t(threads)}}, &e));
    return e.got;
  }
  static std::vector<std::uint64_t> up_to(std::size_t count, std::uint64_t factor = 1) {
    std::vector<std::uint64_t> numbers(count);
    for (std::size_t i = 0; i < count; ++i) numbers[i] = i * factor;
    return numbers;
  }
};

TEST_F(CpuWarpTest, AShuffleGivesEachLaneTheValueOfItsSource) {
  Exchange e{.offered = up_to(64, 10)};
  for (std::uint32_t i = 0; i < 64; ++i) e.sources.push_back((i ^ 1) % 32);
  const auto got = exchange(Operation::kShuffle, e);
  for (std::uint32_t i = 0; i < 64; ++i) EXPECT_EQ(got[i], 10 * (i ^ 1)) << i;
}

TEST_F(CpuWarpTest, AShuffleFromALaneThatIsNotThereLeavesTheValue) {
  Exchange e{.offered = up_to(20, 3)};
  e.sources.assign(20, 25);
  const auto got = exchange(Operation::kShuffle, e);
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(got[i], 3 * i);
}

TEST_F(CpuWarpTest, ABallotHasOneBitForEachLaneThatTakesPart) {
  Exchange e;
  for (std::uint32_t i = 0; i < 50; ++i)
    e.offered.push_back(i % 3 == 0 ? std::uint64_t{1} << 40 : 0);
  const auto got = exchange(Operation::kBallot, e);
  EXPECT_EQ(got[0], 0x49249249u);
  EXPECT_EQ(got[49], 0x00012492u) << "lanes 0 to 17 of the second warp are there";
}

TEST_F(CpuWarpTest, MatchesFindEqualValues) {
  Exchange e;
  for (std::uint32_t i = 0; i < 32; ++i) e.offered.push_back(i % 2 ? 7 : std::uint64_t{7} << 32);
  const auto any = exchange(Operation::kMatchAny, e);
  EXPECT_EQ(any[0], 0x5555'5555u);
  EXPECT_EQ(any[31], 0xaaaa'aaaau);
  EXPECT_EQ(exchange(Operation::kMatchAll, e)[5], 0u);
  e.offered.assign(32, 9);
  EXPECT_EQ(exchange(Operation::kMatchAll, e)[5], kFull);
}

TEST_F(CpuWarpTest, ReductionsAreOf32Bits) {
  Exchange e{.offered = up_to(32)};
  e.offered[3] = 0xffff'fff0;
  EXPECT_EQ(exchange(Operation::kAdd, e)[0], 496u - 3 - 16);
  EXPECT_EQ(exchange(Operation::kMinUnsigned, e)[1], 0u);
  EXPECT_EQ(exchange(Operation::kMaxUnsigned, e)[2], 0xffff'fff0u);
  EXPECT_EQ(exchange(Operation::kMinSigned, e)[3], 0xffff'fff0u);
  EXPECT_EQ(exchange(Operation::kMaxSigned, e)[4], 31u);
  EXPECT_EQ(exchange(Operation::kAnd, e)[5], 0u);
  EXPECT_EQ(exchange(Operation::kOr, e)[6], 0xffff'ffffu);
  EXPECT_EQ(exchange(Operation::kXor, e)[7], 0xffff'fff0u ^ 3u);
}

TEST_F(CpuWarpTest, PartsOfAWarpEachDoTheirOwn) {
  Exchange e{.offered = up_to(32)};
  for (std::uint32_t i = 0; i < 32; ++i) e.masks.push_back(0xffu << (i / 8 * 8));
  const auto got = exchange(Operation::kAdd, e);
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], 28 + 64 * (i / 8)) << i;
}

TEST_F(CpuWarpTest, AMaskWithoutTheThreadItselfIsAnErrorThatNamesTheLine) {
  Exchange e{.offered = up_to(40)};
  e.masks.assign(40, kFull);
  e.masks[33] = 0x0000'0001;
  e.sources.resize(40);
  e.got.resize(40);
  CpuKernel kernel = exchange_kernel(Operation::kShuffle);
  kernel.states[1].file = "shift.cu";
  kernel.states[1].line = 17;
  const auto result = run(kernel, {.block = {40}}, &e);
  EXPECT_EQ(testing::code_of(result), ErrorCode::kDriver);
  EXPECT_CONTAINS(testing::message_of(result),
                  "block (0,0,0), thread (33,0,0): __shfl_sync with mask 0x00000001 at "
                  "shift.cu:17, which lacks the thread's own lane 1");
}

TEST_F(CpuWarpTest, LanesThatNeverComeToAnOperationAreADeadlockThatSaysWhere) {
  Exchange e{.offered = up_to(32), .masks = std::vector<std::uint32_t>(32, kFull)};
  e.sources.resize(32);
  CpuKernel kernel = exchange_kernel(Operation::kBallot);
  // Half of the warp goes to a barrier instead.
  kernel.states[0] = {.run = region([](Thread t) {
                        t.offer(1);
                        t.go_to(t.lane < 16 ? 1 : 2);
                      })};
  kernel.states[1].file = kernel.states[1].file = "vote.cu";
  kernel.states[1].line = 5;
  kernel.states.push_back({.run = region([](Thread) {}), .wait = Wait::kBlock, .next = 3});
  kernel.states[1].next = 3;
  const auto result = run(kernel, {.block = {32}}, &e);
  EXPECT_CONTAINS(testing::message_of(result),
                  "block (0,0,0): 16 threads wait at vote.cu:5 (__ballot_sync with mask "
                  "0xffffffff; the first is (0,0,0)), 16 at an unknown line (__syncthreads; the "
                  "first is (16,0,0)): they never meet");
}

TEST_F(CpuWarpTest, LanesThatHaveEndedAreNotWaitedFor) {
  Exchange e{.offered = up_to(32)};
  CpuKernel kernel = exchange_kernel(Operation::kAdd);
  kernel.states[0] = {.run = region([](Thread t) {
                        t.offer(t.lane);
                        t.go_to(t.lane % 2 ? 1 : 2);
                      })};
  e.got.resize(32);
  must_succeed(run(kernel, {.block = {32}}, &e));
  EXPECT_EQ(e.got[31], 256u);
  EXPECT_EQ(e.got[30], 0u);
}

// The sum of 1 to n, by lanes with different n: they leave the loop one after the other, and meet
// behind it.
CpuKernel loop_kernel() {
  return {.states = {{.run = region([](Thread t) {
                        t.kept(0) = t.kept(1) = 0;
                        t.go_to(1);
                      })},
                     {.run = region([](Thread t) {
                        t.kept(1) += ++t.kept(0);
                        t.go_to(t.kept(0) <= t.linear() % 7 ? 1 : 2);
                        t.offer(1);
                      })},
                     {.run = region([](Thread t) {
                        auto* out = t.argument<std::uint32_t*>(0);
                        out[2 * t.linear()] = t.kept(1);
                        out[2 * t.linear() + 1] = t.got();
                      }),
                      .wait = Wait::kWarp,
                      .operation = Operation::kBallot,
                      .next = 3}},
          .frame_bytes = 256};
}

TEST_F(CpuWarpTest, LanesThatDivergeInALoopMeetBehindIt) {
  std::vector<std::uint32_t> out(2 * 70);
  must_succeed(run(loop_kernel(), {.block = {70}}, out.data()));
  for (std::uint32_t i = 0; i < 70; ++i) {
    const std::uint32_t n = i % 7 + 1;
    EXPECT_EQ(out[2 * i], n * (n + 1) / 2) << i;
    EXPECT_EQ(out[2 * i + 1], i < 64 ? kFull : 0x3fu) << i;
  }
}

// Notes how many lanes a state ran at once; the kernel's first argument is the list.
void note_count(const Thread& first, std::uint32_t count) {
  first.argument<std::vector<std::uint32_t>*>(0)->push_back(count);
}

template <std::uint32_t kValue>
void note_and_set(cpu::Block* block, cpu::Warp* warp, std::uint32_t lane, std::uint32_t count,
                  std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  note_count({block, warp, lane, x, y, z}, count);
  for (std::uint32_t i = 0; i < count; ++i) Thread{block, warp, lane + i, x, y, z}.kept(0) = kValue;
}

// Lanes run together again only if what the region takes as uniform is so.
TEST_F(CpuWarpTest, LanesRunTogetherAgainWhenTheyAgreeOnWhatIsUniform) {
  static constexpr cpu::Slot kSlot{.offset = 0, .size = 4};
  CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                 t.kept(0) = 0;
                                 t.go_to(t.lane < 4 ? 1 : 2);
                               })},
                              {.run = region([](Thread t) { t.kept(0) = 0; }), .next = 2},
                              {.run = note_and_set<5>,
                               .wait = Wait::kBlock,
                               .next = 3,
                               .uniform_count = 1,
                               .uniform = &kSlot},
                              {.run = note_and_set<6>,
                               .wait = Wait::kBlock,
                               .next = 4,
                               .uniform_count = 1,
                               .uniform = &kSlot}},
                   .frame_bytes = 128};
  std::vector<std::uint32_t> counts;
  must_succeed(run(kernel, {.block = {32}}, &counts));
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{32, 32}));

  counts.clear();
  kernel.states[1].run = region([](Thread t) { t.kept(0) = 1; });
  must_succeed(run(kernel, {.block = {32}}, &counts));
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{4, 28, 32}));
}

TEST_F(CpuWarpTest, LanesThatAreStillInALoopRunTogether) {
  const CpuKernel kernel{
      .states = {{.run = region([](Thread t) { t.kept(0) = 0; }), .next = 1},
                 {.run =
                      [](cpu::Block* block, cpu::Warp* warp, std::uint32_t lane,
                         std::uint32_t count, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
                        note_count({block, warp, lane, x, y, z}, count);
                        for (std::uint32_t i = 0; i < count; ++i) {
                          const Thread t{block, warp, lane + i, x, y, z};
                          t.go_to(++t.kept(0) <= t.lane / 8 ? 1 : 2);
                        }
                      }},
                 {.run = note_and_set<0>, .next = 3}},
      .frame_bytes = 128};
  std::vector<std::uint32_t> counts;
  must_succeed(run(kernel, {.block = {32}}, &counts));
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{32, 24, 16, 8, 32}));
}

// Lanes 0 and 1 come to state 2 together; lane 0 waits there for lane 2, while lane 1 goes round.
TEST_F(CpuWarpTest, LanesThatOnceRanTogetherAreAskedAgainWhenTheyMeet) {
  static constexpr cpu::Slot kSlot{.offset = 0, .size = 4};
  const CpuKernel kernel{
      .states = {{.run = region([](Thread t) {
                    t.kept(0) = t.kept(1) = 0;
                    t.offer(0, t.lane == 1 ? 2 : 5);
                    t.go_to(t.lane < 2 ? 2 : 1);
                  })},
                 {.run = region([](Thread t) { t.go_to(++t.kept(1) < 100 ? 1 : 2); })},
                 {.run =
                      [](cpu::Block* block, cpu::Warp* warp, std::uint32_t lane,
                         std::uint32_t count, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
                        const Thread first{block, warp, lane, x, y, z};
                        note_count(first, 10 * lane + count);
                        for (std::uint32_t i = 0; i < count; ++i) {
                          const Thread t{block, warp, lane + i, x, y, z};
                          t.kept(0) = 1;
                          const auto& counts = *t.argument<std::vector<std::uint32_t>*>(0);
                          t.go_to(t.lane != 1 || std::ranges::count(counts, 21u) ||
                                          counts.size() > 99
                                      ? 3
                                      : 2);
                        }
                      },
                  .wait = Wait::kWarp,
                  .uniform_count = 1,
                  .uniform = &kSlot}},
      .frame_bytes = 256};
  std::vector<std::uint32_t> counts;
  must_succeed(run(kernel, {.block = {3}}, &counts));
  EXPECT_GT(std::ranges::count(counts, 11u), 2) << "lane 1, alone";
  EXPECT_EQ(std::ranges::count(counts, 1u), 1) << "lane 0, without lane 1";
  EXPECT_EQ(std::ranges::count(counts, 21u), 1) << "lane 2";
}

TEST_F(CpuWarpTest, ActiveMaskIsOfThoseWhoAreThereTogether) {
  std::vector<std::uint32_t> out(32);
  const cpu::Region read =
      region([](Thread t) { t.argument<std::uint32_t*>(0)[t.lane] = t.got(); });
  const CpuKernel kernel{
      .states = {
          {.run = region([](Thread t) { t.go_to(t.lane % 4 == 0 ? 1 : 2); })},
          {.run = read, .wait = Wait::kConverge, .operation = Operation::kActiveMask, .next = 3},
          {.run = read, .wait = Wait::kConverge, .operation = Operation::kActiveMask, .next = 3}}};
  must_succeed(run(kernel, {.block = {32}}, out.data()));
  for (std::uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], i % 4 == 0 ? 0x1111'1111u : ~0x1111'1111u) << i;
  }
}

// Lane 0 spins in a low state until lanes 1, 2 and 3, which are each behind another one's loop,
// have run: the scheduler must favour none forever.
TEST_F(CpuWarpTest, LanesThatWaitForEachOtherAllGetTheirTurn) {
  std::uint32_t turn = 3;
  const cpu::Region spin = region([](Thread t) {
    auto& shared_turn = *t.argument<std::uint32_t*>(0);
    if (shared_turn != t.lane) return t.go_to(1 + t.lane);
    --shared_turn;
    t.go_to(5);
  });
  const CpuKernel kernel{.states = {{.run = region([](Thread t) { t.go_to(1 + t.lane); })},
                                    {.run = spin},
                                    {.run = spin},
                                    {.run = spin},
                                    {.run = spin}}};
  must_succeed(run(kernel, {.block = {4}}, &turn));
  EXPECT_EQ(turn, ~0u);
}

}  // namespace
}  // namespace fms
