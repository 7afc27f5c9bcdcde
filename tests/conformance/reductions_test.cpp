// Reductions and scans: shuffles, shared memory, barriers in loops.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class ReductionConformanceTest : public ConformanceTest {};

TEST_P(ReductionConformanceTest, EachWarpAddsItsValues) {
  const Kernel sums = kernel("warp_sums");
  for (const int n : {1, 31, 32, 33, 1000}) {
    const auto x = random_integers<int>(n, -1000, 1000);
    const LaunchConfig config = covering(n, 96);
    const auto out = poisoned<int>(config.grid.x * 3);
    run(sums, config, array(x), out, n);
    std::vector<int> expected(config.grid.x * 3, 0);
    for (int i = 0; i < n; ++i) expected[i / 32] += x[i];
    EXPECT_TRUE(same(out.values(), expected)) << n;
  }
}

// Sums of multiples of 2^-10 below 2^20 are exact.
TEST_P(ReductionConformanceTest, ABlockReducesDoublesAndLongsThreeTimes) {
  const Kernel sums = kernel("block_sums");
  for (const unsigned block : {32u, 96u, 256u, 1024u}) {
    constexpr int kBlocks = 3, kCount = 5000;
    std::vector<double> x = random_integers<double>(kCount, -10'000, 10'000, block);
    for (double& value : x) value /= 1024;
    const auto sum = poisoned<double>(kBlocks), least = poisoned<double>(kBlocks);
    const auto greatest = poisoned<long long>(kBlocks);
    run(sums, {.grid = {kBlocks}, .block = {block}}, array(x), sum, least, greatest, kCount);
    std::vector<double> expected_sum(kBlocks), expected_least(kBlocks, 1e300);
    std::vector<long long> expected_greatest(kBlocks, std::numeric_limits<long long>::min());
    for (int i = 0; i < kCount; ++i) {
      const unsigned b = i / block % kBlocks;
      expected_sum[b] += x[i];
      expected_least[b] = std::min(expected_least[b], x[i]);
      const auto scaled = static_cast<long long>(x[i] * 4294967296.0);
      expected_greatest[b] = std::max(expected_greatest[b], scaled);
    }
    EXPECT_TRUE(same(sum.values(), expected_sum)) << block;
    EXPECT_TRUE(same(least.values(), expected_least)) << block;
    EXPECT_TRUE(same(greatest.values(), expected_greatest)) << block;
  }
}

TEST_P(ReductionConformanceTest, ATreeInSharedMemoryAddsABlock) {
  const Kernel sums = kernel("tree_sum");
  for (const unsigned block : {1u, 2u, 64u, 512u}) {
    const auto x = random_bits<unsigned>(1000);
    const LaunchConfig config = covering(1000, block);
    const auto out = poisoned<unsigned>(config.grid.x);
    run(sums, config, array(x), out, 1000);
    std::vector<unsigned> expected(config.grid.x, 0);
    for (unsigned i = 0; i < 1000; ++i) expected[i / block] += x[i];
    EXPECT_TRUE(same(out.values(), expected)) << block;
  }
}

// The sums of x up to each element, by blocks of `block`; its own included or not.
template <typename T>
std::vector<T> scanned(const std::vector<T>& x, std::size_t block, bool inclusive) {
  std::vector<T> sums(x.size());
  for (std::size_t start = 0; start < x.size(); start += block) {
    const auto end = x.begin() + std::min(start + block, x.size());
    if (inclusive) {
      std::inclusive_scan(x.begin() + start, end, sums.begin() + start);
    } else {
      std::exclusive_scan(x.begin() + start, end, sums.begin() + start, T{0});
    }
  }
  return sums;
}

TEST_P(ReductionConformanceTest, HillisAndSteeleScanInclusively) {
  const Kernel scan = kernel("scan_hillis_steele");
  for (const unsigned block : {1u, 33u, 100u, 1024u}) {
    const auto x = random_integers<int>(2047, -50, 50);
    const auto sums = poisoned<int>(x.size());
    run(scan, covering(2047, block), array(x), sums, 2047);
    EXPECT_TRUE(same(sums.values(), scanned(x, block, true))) << block;
  }
}

TEST_P(ReductionConformanceTest, WarpsScanExclusivelyWhateverTheBlock) {
  const Kernel scan = kernel("scan_warps");
  for (const unsigned block : {1u, 20u, 32u, 45u, 512u, 1001u, 1024u}) {
    const auto x = random_integers<long long>(1999, -(1ll << 40), 1ll << 40);
    const LaunchConfig config = covering(1999, block);
    const auto sums = poisoned<long long>(x.size()), totals = poisoned<long long>(config.grid.x);
    run(scan, config, array(x), sums, totals, 1999);
    EXPECT_TRUE(same(sums.values(), scanned(x, block, false))) << block;
    std::vector<long long> expected(config.grid.x, 0);
    for (std::size_t i = 0; i < x.size(); ++i) expected[i / block] += x[i];
    EXPECT_TRUE(same(totals.values(), expected)) << block;
  }
}

TEST_P(ReductionConformanceTest, BlellochScansUpAndDownATree) {
  const Kernel scan = kernel("scan_blelloch");
  for (const unsigned block : {1u, 16u, 64u, 512u}) {
    constexpr unsigned kBlocks = 3;
    const auto x = random_bits<unsigned>(2 * block * kBlocks);
    const auto sums = poisoned<unsigned>(x.size());
    run(scan, {.grid = {kBlocks}, .block = {block}, .dynamic_smem_bytes = 2 * block * 4}, array(x),
        sums);
    EXPECT_TRUE(same(sums.values(), scanned(x, 2 * block, false))) << block;
  }
}

FMS_ON_EVERY_TARGET(ReductionConformanceTest);

}  // namespace
}  // namespace fms
