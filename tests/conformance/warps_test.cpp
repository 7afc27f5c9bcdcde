// What the lanes of a warp do together: votes, matches, shuffles, in and out of divergent code.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class WarpConformanceTest : public ConformanceTest {
 protected:
  static constexpr int kCount = 3 * 96;
  static constexpr LaunchConfig kConfig{.grid = {3}, .block = {96}};

  // For each lane of a warp: the mask of those lanes of it for which `has(thread)`.
  template <typename Predicate>
  static std::uint32_t lanes(int thread, Predicate has) {
    std::uint32_t mask = 0;
    for (int lane = 0; lane < 32; ++lane) {
      if (has(thread / 32 * 32 + lane)) mask |= 1u << lane;
    }
    return mask;
  }
};

TEST_P(WarpConformanceTest, VotesAreOfTheLanesInTheMask) {
  const Kernel votes = kernel("votes");
  for (const int threshold : {-1000, 0, 90, 1000}) {
    const auto x = random_integers<int>(kCount, -100, 100);
    const auto out = poisoned<std::uint32_t>(kCount * 6);
    run(votes, kConfig, array(x), out, threshold);
    std::vector<std::uint32_t> expected;
    for (int i = 0; i < kCount; ++i) {
      const std::uint32_t above = lanes(i, [&](int j) { return x[j] > threshold; });
      const std::uint32_t odd = lanes(i, [&](int j) { return x[j] % 2 != 0; });
      const bool is_odd = x[i] % 2 != 0;
      const std::uint32_t all[] = {above, above == ~0u, above != 0};
      const std::uint32_t of_odd[] = {above & odd, (above & odd) == odd, (above & odd) != 0};
      expected.insert(expected.end(), std::begin(all), std::end(all));
      for (const std::uint32_t value : of_odd) expected.push_back(is_odd ? value : 0);
    }
    EXPECT_TRUE(same(out.values(), expected)) << threshold;
  }
}

TEST_P(WarpConformanceTest, MatchesFindTheLanesOfEqualValues) {
  auto x = random_integers<unsigned long long>(kCount, 0, 3);
  for (int i = 0; i < kCount; ++i) {
    if (i % 3 == 0) x[i] |= 1ull << 50;  // equal in 32 bits, and not in 64
  }
  std::fill_n(x.begin() + 32, 32, 1ull << 63);
  const auto any_32 = poisoned<std::uint32_t>(kCount), any_64 = poisoned<std::uint32_t>(kCount),
             all = poisoned<std::uint32_t>(kCount);
  const auto all_equal = poisoned<int>(kCount);
  run(kernel("matches"), kConfig, array(x), any_32, any_64, all, all_equal);
  std::vector<std::uint32_t> expected_32, expected_64, expected_all;
  std::vector<int> expected_equal;
  for (int i = 0; i < kCount; ++i) {
    const auto low = [&](int j) { return static_cast<std::uint32_t>(x[j]); };
    expected_32.push_back(lanes(i, [&](int j) { return low(j) == low(i); }));
    expected_64.push_back(lanes(i, [&](int j) { return x[j] == x[i]; }));
    expected_all.push_back(expected_64.back() == ~0u ? ~0u : 0);
    expected_equal.push_back(expected_64.back() == ~0u);
  }
  EXPECT_TRUE(same(any_32.values(), expected_32));
  EXPECT_TRUE(same(any_64.values(), expected_64));
  EXPECT_TRUE(same(all.values(), expected_all));
  EXPECT_TRUE(same(all_equal.values(), expected_equal));
}

TEST_P(WarpConformanceTest, GroupsOfLanesReduceInOneOperation) {
  if (!on_cpu() && device_->info().compute_capability < 80) {
    GTEST_SKIP() << "compute capability 8.0 has these";
  }
  const auto x = random_bits<int>(kCount);
  const auto out = poisoned<int>(kCount * 8);
  run(kernel("reduce_sync"), kConfig, array(x), out);
  std::vector<int> expected;
  for (int i = 0; i < kCount; ++i) {
    const auto bits = [&](int j) { return static_cast<std::uint32_t>(x[j]); };
    std::uint32_t sum = 0, low = ~0u, high = 0, all = ~0u, any = 0, odd = 0;
    int least = x[i], greatest = x[i];
    for (int j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) {
      if (bits(j) % 3 != bits(i) % 3) continue;
      sum += bits(j);
      least = std::min(least, x[j]);
      greatest = std::max(greatest, x[j]);
      low = std::min(low, bits(j));
      high = std::max(high, bits(j));
      all &= bits(j);
      any |= bits(j);
      odd ^= bits(j);
    }
    expected.insert(expected.end(), {static_cast<int>(sum), least, greatest, static_cast<int>(low),
                                     static_cast<int>(high), static_cast<int>(all),
                                     static_cast<int>(any), static_cast<int>(odd)});
  }
  EXPECT_TRUE(same(out.values(), expected));
}

// Where the four shuffles by `distance` in segments of `width` read, for `lane`. By the manual: a
// lane whose source lies outside of its segment reads itself, but xor may reach an earlier one.
std::vector<int> sources(int lane, int distance, int width) {
  const int start = lane / width * width, end = start + width;
  const int up = lane - distance, down = lane + distance, exclusive = lane ^ distance;
  return {start + distance % width, up >= start ? up : lane, down < end ? down : lane,
          exclusive < end ? exclusive : lane};
}

TEST_P(WarpConformanceTest, ShufflesOfEveryTypeReadTheLaneThatTheySay) {
  const auto check = [this]<typename T>(const char* entry, const std::vector<T>& x) {
    const Kernel shuffle = kernel("shuffles", entry);
    for (const int width : {1, 2, 8, 16, 32}) {
      for (const int distance : {0, 1, 3, 8, 31}) {
        const auto out = poisoned<T>(kCount * 4);
        run(shuffle, kConfig, array(x), out, distance, width);
        std::vector<T> expected;
        for (int i = 0; i < kCount; ++i) {
          for (const int source : sources(i % 32, distance, width)) {
            expected.push_back(x[i / 32 * 32 + source]);
          }
        }
        EXPECT_TRUE(same(out.values(), expected)) << entry << " " << distance << " of " << width;
      }
    }
  };
  check("shuffle_int", random_bits<int>(kCount));
  check("shuffle_unsigned", random_bits<unsigned>(kCount));
  check("shuffle_long", random_bits<long long>(kCount));
  check("shuffle_float", random_reals<float>(kCount, -1e30, 1e30));
  check("shuffle_double", random_reals<double>(kCount, -1e300, 1e300));
}

TEST_P(WarpConformanceTest, LanesSortByExchanging) {
  auto x = random_reals<float>(kCount, -1, 1);
  const auto sorted = poisoned<float>(kCount);
  run(kernel("lane_sort"), kConfig, array(x), sorted);
  for (int start = 0; start < kCount; start += 32) {
    std::sort(x.begin() + start, x.begin() + start + 32);
  }
  EXPECT_TRUE(same(sorted.values(), x));
}

// Steps until 1, or until a step up goes beyond 10^9.
int collatz_length(std::uint64_t value) {
  int length = 0;
  while (value != 1) {
    const bool goes_up = value % 2 == 1;
    value = goes_up ? 3 * value + 1 : value / 2;
    if (goes_up && value > 1'000'000'000) break;
    ++length;
  }
  return length;
}

TEST_P(WarpConformanceTest, LanesMeetAfterLoopsOfDifferentLengths) {
  constexpr int kStarts = 1000;
  const auto x = random_integers<unsigned>(kStarts, 1, 1'000'000);
  const LaunchConfig config = covering(kStarts, 96);
  const auto lengths = poisoned<int>(kStarts);
  const auto longest = poisoned<int>(config.grid.x * 3);
  run(kernel("divergent_loops"), config, array(x), lengths, longest, kStarts);
  std::vector<int> expected;
  for (const unsigned start : x) expected.push_back(collatz_length(start));
  EXPECT_TRUE(same(lengths.values(), expected));
  expected.resize(config.grid.x * 96, 0);
  std::vector<int> expected_lanes;
  for (auto warp = expected.begin(); warp != expected.end(); warp += 32) {
    expected_lanes.push_back(static_cast<int>(std::max_element(warp, warp + 32) - warp));
  }
  EXPECT_TRUE(same(longest.values(), expected_lanes));
}

TEST_P(WarpConformanceTest, LanesMeetInsideOfDivergentCode) {
  auto x = random_integers<int>(kCount, 0, 200);
  x[5] = 20;
  for (int i = 0; i < kCount; i += 32) x[i + 9] = 4, x[i + 20] = 7;  // both kinds in every warp
  const auto branch = poisoned<int>(kCount), group_sums = poisoned<int>(kCount);
  run(kernel("shuffle_in_branches"), kConfig, array(x), branch, group_sums);
  std::vector<int> expected_branch, expected_sums;
  for (int i = 0; i < kCount; ++i) {
    const int warp = i / 32 * 32;
    const std::uint32_t even = lanes(i, [&](int j) { return x[j] % 2 == 0; });
    if (x[i] % 2 == 0) {
      int result = x[warp + std::countr_zero(even)];
      const auto is_small_multiple = [&](int j) { return x[j] < 100 && x[j] % 4 == 0; };
      if (x[i] < 100) result += 1000 * std::popcount(lanes(i, is_small_multiple));
      expected_branch.push_back(result);
    } else {
      expected_branch.push_back(-x[warp + 31 - std::countl_zero(~even)]);
    }
    const int group = i / 8 * 8, rounds = 2 * (i % 32 / 8) + 1;
    int sum = 0;
    for (int j = group; j < group + 8; ++j) sum += x[j];
    expected_sums.push_back(rounds * sum + 8 * rounds * (rounds - 1) / 2);
  }
  EXPECT_TRUE(same(branch.values(), expected_branch));
  EXPECT_TRUE(same(group_sums.values(), expected_sums));
}

// How lanes are grouped isn't said; that each is in its own group, and only with lanes of its
// branch, is.
TEST_P(WarpConformanceTest, ActiveMasksPartTheLanesOfABranch) {
  constexpr int kActive = kCount - 7;
  const auto x = random_integers<int>(kCount, 0, 1000);
  const auto out = poisoned<std::uint32_t>(kActive);
  run(kernel("active_lanes"), kConfig, array(x), out, kActive);
  const std::vector<std::uint32_t> masks = out.values();
  for (int i = 0; i < kActive; ++i) {
    const auto in_branch = [&](int j) { return j < kActive && x[j] % 3 == x[i] % 3; };
    EXPECT_EQ(masks[i] & ~lanes(i, in_branch), 0u) << i;
    EXPECT_EQ(masks[i] >> i % 32 & 1, 1u) << i;
    for (int lane = 0; lane < 32; ++lane) {
      if (masks[i] >> lane & 1) {
        EXPECT_EQ(masks[i / 32 * 32 + lane], masks[i]) << i;
      }
    }
  }
}

TEST_P(WarpConformanceTest, AWarpServesOneValueAfterTheOther) {
  constexpr int kActive = kCount - 11;  // the last warp is a part of one
  const auto x = random_integers<int>(kCount, 0, 6);
  const auto rounds = poisoned<int>(kActive), peers = poisoned<int>(kActive);
  run(kernel("warp_rounds"), kConfig, array(x), rounds, peers, kActive);
  std::vector<int> expected_rounds, expected_peers;
  for (int i = 0; i < kActive; ++i) {
    std::vector<int> order;  // of the values, by their first lane
    for (int j = i / 32 * 32; j < std::min(i / 32 * 32 + 32, kActive); ++j) {
      if (std::ranges::find(order, x[j]) == order.end()) order.push_back(x[j]);
    }
    const auto place = std::ranges::find(order, x[i]) - order.begin();
    expected_rounds.push_back(static_cast<int>(place));
    expected_peers.push_back(
        std::popcount(lanes(i, [&](int j) { return j < kActive && x[j] == x[i]; })));
  }
  EXPECT_TRUE(same(rounds.values(), expected_rounds));
  EXPECT_TRUE(same(peers.values(), expected_peers));
}

FMS_ON_EVERY_TARGET(WarpConformanceTest);

}  // namespace
}  // namespace fms
