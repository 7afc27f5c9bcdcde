// Atomics of shared and global memory, and what is built of them.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class AtomicConformanceTest : public ConformanceTest {};

TEST_P(AtomicConformanceTest, AHistogramCountsEveryByte) {
  const Kernel histogram = kernel("histogram");
  for (const int n : {0, 1, 255, 10'007}) {
    auto bytes = random_integers<unsigned char>(n, 0, 255);
    std::fill_n(bytes.begin(), n / 3, 7);  // many of one
    const auto counts = array(std::vector<unsigned>(256, 0));
    run(histogram, {.grid = {5}, .block = {100}}, array(bytes), counts, n);
    std::vector<unsigned> expected(256, 0);
    for (const unsigned char byte : bytes) ++expected[byte];
    EXPECT_TRUE(same(counts.values(), expected)) << n;
  }
}

TEST_P(AtomicConformanceTest, AWarpTakesThePlacesOfAllItsLanesWithOneAtomic) {
  const Kernel filter = kernel("filter_aggregated");
  for (const int threshold : {-1000, 0, 90, 1000}) {
    constexpr int kCount = 3001;
    const auto x = random_integers<int>(kCount, -100, 100);
    const auto kept = poisoned<int>(kCount), count = array(std::vector<int>{0});
    run(filter, {.grid = {3}, .block = {160}}, array(x), kept, count, kCount, threshold);
    std::vector<int> expected;
    std::ranges::copy_if(x, std::back_inserter(expected), [&](int v) { return v > threshold; });
    std::vector<int> actual = kept.values();
    ASSERT_EQ(count.values()[0], std::ssize(expected));
    actual.resize(expected.size());
    std::ranges::sort(actual);  // the order isn't said
    std::ranges::sort(expected);
    EXPECT_TRUE(same(actual, expected)) << threshold;
  }
}

TEST_P(AtomicConformanceTest, TheLastBlockSeesWhatAllBlocksWroteAndResetsTheCounter) {
  const Kernel sums = kernel("last_block");
  for (const unsigned blocks : {1u, 2u, 77u}) {
    const auto x = random_bits<unsigned>(5003, blocks);
    const auto partial = poisoned<unsigned>(blocks), sum = poisoned<unsigned>(1);
    run(sums, {.grid = {blocks}, .block = {70}}, array(x), partial, sum, 5003);
    EXPECT_EQ(sum.values()[0], std::accumulate(x.begin(), x.end(), 0u)) << blocks;
  }
}

// Sums of small multiples of 1/8 are exact in any order.
TEST_P(AtomicConformanceTest, LoopsOfCompareAndSwapLoseNoUpdate) {
  constexpr int kCount = 2011;
  std::vector<float> x = random_integers<float>(kCount, -8000, 8000);
  for (float& value : x) value /= 8;
  const auto greatest = array(std::vector<float>{-1e30f});
  const auto sum = array(std::vector<double>{0});
  run(kernel("compare_and_swap"), covering(kCount, 128), array(x), greatest, sum, kCount);
  EXPECT_EQ(greatest.values()[0], *std::ranges::max_element(x));
  EXPECT_EQ(sum.values()[0], std::accumulate(x.begin(), x.end(), 0.0));
}

TEST_P(AtomicConformanceTest, AllThreadsOfAWarpGetThroughASpinLock) {
  const Kernel locked = kernel("spin_lock");
  for (const auto& [blocks, threads] : {std::pair{1u, 1u}, {1u, 32u}, {4u, 70u}}) {
    const auto lock = array(std::vector<int>{0});
    const auto count = array(std::vector<unsigned>{0}), checksum = array(std::vector<unsigned>{0});
    run(locked, {.grid = {blocks}, .block = {threads}}, lock, count, checksum);
    unsigned expected = 0;
    for (unsigned i = 0; i < blocks * threads; ++i) expected ^= i * 2654435761u;
    EXPECT_EQ(count.values()[0], blocks * threads);
    EXPECT_EQ(checksum.values()[0], expected);
    EXPECT_EQ(lock.values()[0], 0);
  }
}

TEST_P(AtomicConformanceTest, EveryOperationIsAtomicAndAddsReturnWhatWasThere) {
  constexpr unsigned kBlocks = 5, kBlock = 77;
  constexpr int kThreads = kBlocks * kBlock;
  const auto i = array(std::vector<int>{0, 0, 0, 0, -1, 0, 0, 0});
  const auto u = array(std::vector<unsigned>{0, ~0u, 0, 0, 0});
  const auto l = array(std::vector<unsigned long long>{0, ~0ull, 0, ~0ull, 0, 0});
  const auto f = array(std::vector<float>{0});
  const auto d = array(std::vector<double>{0});
  const auto old = poisoned<int>(kThreads);
  run(kernel("every_atomic"), {.grid = {kBlocks}, .block = {kBlock}}, i, u, l, f, d, old);

  std::vector<int> expected_i{kThreads, 0, 0, 0, -1, 0, 0, 77};
  std::vector<unsigned> expected_u{0, ~0u - (kThreads - 1), 0x80000000u + kThreads - 1, 0, 0};
  std::vector<unsigned long long> expected_l{0, 1, 0, ~0ull, 0, 0};
  for (int thread = 0; thread < kThreads; ++thread) {
    const int number = thread % 2 == 0 ? thread : -thread;
    const unsigned long long wide = (static_cast<unsigned long long>(thread) << 32) + 1;
    expected_i[1] -= number;
    expected_i[2] = std::min(expected_i[2], number);
    expected_i[3] = std::max(expected_i[3], number);
    expected_i[4] &= ~(1 << thread % 31);
    expected_i[5] |= 1 << thread % 29;
    expected_i[6] ^= thread;
    expected_u[0] += 0x80000001u;
    expected_u[3] = expected_u[3] >= 9 ? 0 : expected_u[3] + 1;
    expected_u[4] = expected_u[4] == 0 || expected_u[4] > 9 ? 9 : expected_u[4] - 1;
    expected_l[0] += wide;
    expected_l[2] = std::max(expected_l[2], wide);
    expected_l[3] &= ~(1ull << thread % 61);
    expected_l[4] |= 1ull << thread % 53;
    expected_l[5] ^= wide;
  }
  EXPECT_TRUE(same(i.values(), expected_i));
  EXPECT_TRUE(same(u.values(), expected_u));
  EXPECT_TRUE(same(l.values(), expected_l));
  EXPECT_EQ(f.values()[0], 0.5f * kThreads);
  EXPECT_EQ(d.values()[0], 0.25 * kThreads);
  std::vector<int> tickets = old.values(), every(kThreads);
  std::ranges::sort(tickets);
  std::iota(every.begin(), every.end(), 0);
  EXPECT_TRUE(same(tickets, every));
}

TEST_P(AtomicConformanceTest, DivergentLoopsTakeEachTicketOnce) {
  constexpr unsigned kThreads = 3 * 50;
  std::vector<unsigned> expected;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    const unsigned rounds = thread % 7 + 1, each = std::min(thread % 5, 3u);
    expected.insert(expected.end(), rounds * each, thread);
  }
  const auto counter = array(std::vector<unsigned>{0});
  const auto owners = poisoned<unsigned>(expected.size());
  run(kernel("tickets"), {.grid = {3}, .block = {50}}, counter, owners);
  EXPECT_EQ(counter.values()[0], expected.size());
  std::vector<unsigned> actual = owners.values();
  std::ranges::sort(actual);
  std::ranges::sort(expected);
  EXPECT_TRUE(same(actual, expected));
}

FMS_ON_EVERY_TARGET(AtomicConformanceTest);

}  // namespace
}  // namespace fms
