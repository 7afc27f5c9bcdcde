// Barriers of a block and of a warp, wherever a kernel may have them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class BarrierConformanceTest : public ConformanceTest {};

TEST_P(BarrierConformanceTest, ThreadsThatHaveEndedHoldNobodyUp) {
  const Kernel mirror = kernel("early_return");
  for (const int n : {1, 33, 128, 200, 255}) {
    const auto x = random_integers<int>(256, 0, 1000);
    const auto out = array(std::vector<int>(256, -2));
    run(mirror, {.grid = {2}, .block = {128}}, array(x), out, n);
    std::vector<int> expected(256, -2);
    for (int i = 0; i < n; ++i) {
      const int other = i / 128 * 128 + 127 - i % 128;
      if (other < n) expected[i] = x[other];
    }
    EXPECT_TRUE(same(out.values(), expected)) << n;
  }
}

TEST_P(BarrierConformanceTest, LoopsOfDifferentBlocksHaveTheirOwnTripCounts) {
  const Kernel loops = kernel("barrier_loops");
  for (const unsigned block : {1u, 32u, 50u, 160u}) {
    constexpr unsigned kBlocks = 4;
    constexpr int kRounds = 3;
    const auto x = random_bits<unsigned>(kBlocks * block);
    const auto out = poisoned<unsigned>(x.size());
    run(loops, {.grid = {kBlocks}, .block = {block}}, array(x), out, kRounds);
    std::vector<unsigned> expected;
    for (unsigned b = 0; b < kBlocks; ++b) {
      std::vector<unsigned> ring(x.begin() + b * block, x.begin() + (b + 1) * block);
      for (unsigned outer = 0; outer <= b; ++outer) {
        for (unsigned inner = 0; inner < kRounds + outer; ++inner) {
          std::ranges::rotate(ring, ring.begin() + 1);
          for (unsigned& value : ring) value = value * 3 + inner;
        }
      }
      expected.insert(expected.end(), ring.begin(), ring.end());
    }
    EXPECT_TRUE(same(out.values(), expected)) << block;
  }
}

TEST_P(BarrierConformanceTest, BranchesThatAWholeBlockTakesMayHaveBarriers) {
  const Kernel branches = kernel("barrier_branches");
  for (const int mode : {0, 1}) {
    constexpr int kBlocks = 9, kBlock = 100;
    const auto out = poisoned<int>(kBlocks * kBlock);
    run(branches, {.grid = {kBlocks}, .block = {kBlock}}, out, mode);
    std::vector<int> expected;
    for (int block = 0; block < kBlocks; ++block) {
      std::vector<int> values(kBlock);
      std::iota(values.begin(), values.end(), block * 1000);
      const auto each = [&](auto change) { std::ranges::for_each(values, change); };
      if (mode != 0) {
        std::ranges::reverse(values);
        each([](int& value) { ++value; });
      }
      const int kind = block % 4;
      if (kind == 0) std::ranges::reverse(values);
      const int first = values.front(), last = values.back();
      if (kind <= 1) each([&](int& value) { value += first; });
      if (kind == 2) each([&](int& value) { value = -value; });
      if (kind == 3) each([&](int& value) { value += last; });
      if (block % 2 == 1) {
        each([](int& value) { value *= 2; });
        std::ranges::reverse(values);
      }
      expected.insert(expected.end(), values.begin(), values.end());
    }
    EXPECT_TRUE(same(out.values(), expected)) << mode;
  }
}

TEST_P(BarrierConformanceTest, BarriersCountAndVote) {
  constexpr int kBlocks = 4, kBlock = 75;
  auto x = random_integers<int>(kBlocks * kBlock, -1, 2);
  std::fill_n(x.begin(), kBlock, 1);            // all of block 0
  std::fill_n(x.begin() + kBlock, kBlock, -1);  // none of block 1
  x[2 * kBlock + 74] = 0;
  const auto counts = poisoned<int>(x.size()), alls = poisoned<int>(x.size()),
             anys = poisoned<int>(x.size());
  run(kernel("barrier_votes"), {.grid = {kBlocks}, .block = {kBlock}}, array(x), counts, alls,
      anys);
  std::vector<int> expected_counts, expected_alls, expected_anys;
  for (int block = 0; block < kBlocks; ++block) {
    const auto start = x.begin() + block * kBlock;
    const auto count = std::count_if(start, start + kBlock, [](int value) { return value > 0; });
    expected_counts.insert(expected_counts.end(), kBlock, static_cast<int>(count));
    expected_alls.insert(expected_alls.end(), kBlock, count == kBlock);
    expected_anys.insert(expected_anys.end(), kBlock, count != 0);
  }
  EXPECT_TRUE(same(counts.values(), expected_counts));
  EXPECT_TRUE(same(alls.values(), expected_alls));
  EXPECT_TRUE(same(anys.values(), expected_anys));
}

TEST_P(BarrierConformanceTest, ALoopEndsWhenABarrierSaysThatNobodyHasWork) {
  const Kernel label = kernel("label_rounds");
  for (const unsigned block : {1u, 40u, 200u}) {
    const auto links = random_integers<unsigned char>(block, 0, 5);
    const auto labels = poisoned<int>(block), rounds = poisoned<int>(1);
    run(label, {.block = {block}}, array(links), labels, rounds);
    std::vector<int> expected(block);
    int longest = 0, length = 0;
    for (unsigned i = 1; i < block; ++i) {
      expected[i] = links[i - 1] != 0 ? expected[i - 1] : static_cast<int>(i);
      length = links[i - 1] != 0 ? length + 1 : 0;
      longest = std::max(longest, length);
    }
    EXPECT_TRUE(same(labels.values(), expected)) << block;
    EXPECT_EQ(rounds.values()[0], longest + 1) << block;  // and one in which nothing changes
  }
}

TEST_P(BarrierConformanceTest, WarpsWaitForEachOtherBySpinning) {
  const Kernel chain = kernel("spin_wait");
  for (const unsigned warps : {1u, 2u, 7u, 32u}) {
    constexpr unsigned kBlocks = 3;
    const auto out = poisoned<unsigned>(kBlocks * warps);
    run(chain, {.grid = {kBlocks}, .block = {warps * 32}}, out);
    std::vector<unsigned> expected;
    for (unsigned i = 0; i < kBlocks * warps; ++i) {
      expected.push_back(i % warps == 0 ? 1 : expected.back() * 3 + i % warps);
    }
    EXPECT_TRUE(same(out.values(), expected)) << warps;
  }
}

TEST_P(BarrierConformanceTest, AWarpOrAHalfOfItMeetsAtItsOwnBarriers) {
  constexpr int kBlock = 256;
  const auto out = poisoned<int>(2 * kBlock);
  run(kernel("warp_barriers"), {.grid = {2}, .block = {kBlock}}, out);
  std::vector<int> values(kBlock);
  for (int i = 0; i < kBlock; ++i) values[i] = (i ^ 1) * (i ^ 1);
  for (int round = 0; round < 5; ++round) {
    const std::vector<int> before = values;
    for (int i = 0; i < kBlock; ++i) {
      if (i % 32 >= 16 || round < 3) values[i] = before[i ^ 15] + round;
    }
  }
  values.insert(values.end(), values.begin(), values.begin() + kBlock);
  EXPECT_TRUE(same(out.values(), values));
}

TEST_P(BarrierConformanceTest, AProducerWarpFillsTheBufferThatIsNotInUse) {
  const Kernel pipeline = kernel("pipeline");
  for (const int tiles : {0, 1, 2, 9}) {
    constexpr int kBlock = 128;
    const auto x = random_integers<int>(tiles * 64, -1000, 1000);
    const auto sums = poisoned<long long>(kBlock);
    run(pipeline, {.block = {kBlock}}, array(x), sums, tiles);
    const long long sum = std::accumulate(x.begin(), x.end(), 0ll);
    std::vector<long long> expected(kBlock, 0);
    for (int i = 32; i < kBlock; ++i) expected[i] = sum * i;
    EXPECT_TRUE(same(sums.values(), expected)) << tiles;
  }
}

TEST_P(BarrierConformanceTest, WarpsThatEndInALoopLeaveTheOthersMeeting) {
  constexpr int kBlocks = 2;
  for (const unsigned block : {1u, 32u, 100u, 256u}) {
    const auto last_round = poisoned<int>(kBlocks * block),
               arrivals = poisoned<int>(kBlocks * block);
    run(kernel("retiring_warps"), {.grid = {kBlocks}, .block = {block}}, last_round, arrivals);
    std::vector<int> expected_rounds, expected_arrivals;
    for (unsigned i = 0; i < kBlocks * block; ++i) {
      const unsigned rounds = i % block / 32 % 7 + 1;
      int count = 0;  // a thread arrives once in each of its warp's rounds
      for (unsigned thread = 0; thread < block; ++thread) {
        count += static_cast<int>(std::min(thread / 32 % 7 + 1, rounds));
      }
      expected_rounds.push_back(static_cast<int>(rounds) - 1);
      expected_arrivals.push_back(count);
    }
    EXPECT_TRUE(same(last_round.values(), expected_rounds)) << block;
    EXPECT_TRUE(same(arrivals.values(), expected_arrivals)) << block;
  }
}

TEST_P(BarrierConformanceTest, FunctionsThatAreNotInlinedMayHaveBarriers) {
  constexpr int kBlocks = 2, kBlock = 96, kRounds = 4;
  auto x = random_integers<int>(kBlocks * kBlock, -100, 100);
  const auto out = poisoned<int>(x.size());
  run(kernel("called_barriers"), {.grid = {kBlocks}, .block = {kBlock}}, array(x), out, kRounds);
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<int> before = x;
    for (int i = 0; i < kBlocks * kBlock; ++i) {
      const auto greatest_in_warp = [&](int thread) {
        const auto warp = before.begin() + thread / 32 * 32;
        return *std::max_element(warp, warp + 32);
      };
      const auto warp = before.begin() + i / 32 * 32;
      const int least = *std::min_element(warp, warp + 32);
      x[i] += greatest_in_warp(i / kBlock * kBlock + 7 * round) - least;
    }
  }
  EXPECT_TRUE(same(out.values(), x));
}

TEST_P(BarrierConformanceTest, WhatAThreadHasBeforeABarrierItHasBehindIt) {
  constexpr int kBlocks = 3, kBlock = 75;
  const auto x = random_integers<int>(kBlocks * kBlock, -1000, 1000);
  const auto out = poisoned<double>(x.size());
  run(kernel("survivors"), {.grid = {kBlocks}, .block = {kBlock}}, array(x), out);
  std::vector<double> expected;
  for (int i = 0; i < kBlocks * kBlock; ++i) {
    const bool flag = x[i] % 2 == 0;
    const int thread = i % kBlock, mirror = i - thread + kBlock - 1 - thread;
    const int added = (thread + 1) % kBlock + 1;
    const int a = flag ? 10 + added : 10, b = flag ? 20 : 20 + added;
    const double large = static_cast<double>(static_cast<long long>(x[i]) << 33);
    expected.push_back(a + 100.0 * b + (flag ? 1e4 : 2e4) + static_cast<signed char>(x[i]) * 1e5 +
                       static_cast<unsigned short>(x[i] * 3) * 1e8 + large * 1e6 + (4 * x[i] + 6) +
                       static_cast<unsigned char>(i) + x[i] * 1.5 + (3 * mirror + 4));
  }
  // The sums are exact but for the last bits, which their order decides.
  std::vector<Expected> near_expected;
  for (const double value : expected) near_expected.push_back({value, std::abs(value) * 0x1p-49});
  EXPECT_TRUE(near(out.values(), near_expected));
}

TEST_P(BarrierConformanceTest, BlocksOfACooperativeLaunchMeet) {
  const Kernel meet = kernel("grid_barrier");
  const int resident = meet.occupancy(64, 0).value() * device_->info().sm_count;
  const auto blocks = static_cast<unsigned>(std::min(resident, 9));
  const auto arrived = array(std::vector<unsigned>{0});
  const auto values = poisoned<unsigned>(blocks);
  const auto sums = array(std::vector<unsigned>(blocks, 0));
  run(meet, {.grid = {blocks}, .block = {64}, .cooperative = true}, arrived, values, sums);
  const unsigned sum = (1 + 2 + 3) * blocks * (blocks - 1) / 2 + 3 * blocks;
  EXPECT_TRUE(same(sums.values(), std::vector<unsigned>(blocks, sum)));
}

FMS_ON_EVERY_TARGET(BarrierConformanceTest);

}  // namespace
}  // namespace fms
