// Grids and blocks of every shape.

#include <array>
#include <cstdint>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class GridConformanceTest : public ConformanceTest {};

const LaunchConfig kShapes[] = {
    {.grid = {1}, .block = {1}},
    {.grid = {7}, .block = {33}},
    {.grid = {2, 3, 5}, .block = {4, 3, 2}},
    {.grid = {3, 1, 2}, .block = {8, 8, 4}},
    {.grid = {1, 4}, .block = {1, 50}},
    {.grid = {2}, .block = {1, 1, 64}},
    {.grid = {1, 1, 3}, .block = {1024}},
    {.grid = {2, 2}, .block = {31, 33}},
};

std::uint32_t volume(const Dim3& dim) { return dim.x * dim.y * dim.z; }

using Indices = std::array<std::uint32_t, 12>;

TEST_P(GridConformanceTest, EveryThreadKnowsItsPlace) {
  const Kernel indices = kernel("indices_3d");
  for (const LaunchConfig& config : kShapes) {
    const auto& [grid, block] = std::tie(config.grid, config.block);
    const auto out = poisoned<std::uint32_t>(volume(grid) * volume(block) * 12);
    run(indices, config, out);
    std::vector<std::uint32_t> expected;
    for (std::uint32_t b = 0; b < volume(grid); ++b) {
      for (std::uint32_t t = 0; t < volume(block); ++t) {
        const Indices place{t % block.x,
                            t / block.x % block.y,
                            t / (block.x * block.y),
                            b % grid.x,
                            b / grid.x % grid.y,
                            b / (grid.x * grid.y),
                            block.x,
                            block.y,
                            block.z,
                            grid.x,
                            grid.y,
                            grid.z};
        expected.insert(expected.end(), place.begin(), place.end());
      }
    }
    EXPECT_TRUE(same(out.values(), expected)) << block.x << " " << block.y << " " << block.z;
  }
}

TEST_P(GridConformanceTest, WarpsRunAlongXThenYThenZ) {
  const Kernel warps = kernel("warps_3d");
  for (const LaunchConfig& config : kShapes) {
    const std::uint32_t blocks = volume(config.grid), threads = volume(config.block);
    const auto sums = poisoned<std::uint32_t>(blocks * threads);
    run(warps, {.grid = {blocks}, .block = config.block}, sums);
    std::vector<std::uint32_t> expected;
    for (std::uint32_t i = 0; i < blocks * threads; ++i) {
      const std::uint32_t first = i % threads / 32 * 32, end = std::min(first + 32, threads);
      expected.push_back((first + end - 1) * (end - first) / 2);
    }
    EXPECT_TRUE(same(sums.values(), expected)) << threads;
  }
}

// a x + y is exact here, rounded once or twice.
TEST_P(GridConformanceTest, AGridStridesOverMoreThanItHolds) {
  const Kernel stride = kernel("grid_stride");
  for (const long long n : {0, 1, 999, 20'011}) {
    const auto x = random_integers<float>(n, -1000, 1000, 1);
    auto y = random_integers<float>(n, -1000, 1000, 2);
    const auto out = array(y);
    run(stride, {.grid = {3}, .block = {67}}, array(x), out, 2.5f, n);
    for (long long i = 0; i < n; ++i) y[i] += 2.5f * x[i];
    EXPECT_TRUE(same(out.values(), y)) << n;
  }
}

TEST_P(GridConformanceTest, LoopsEndAtDifferentTimesInEveryThread) {
  constexpr int kWidth = 45, kHeight = 33, kLimit = 300;
  const auto times = poisoned<unsigned short>(kWidth * kHeight);
  run(kernel("mandelbrot"),
      {.grid = {blocks_of(kWidth, 10), blocks_of(kHeight, 7)}, .block = {10, 7}}, times, kWidth,
      kHeight, kLimit);
  std::vector<unsigned short> expected;
  for (int i = 0; i < kWidth * kHeight; ++i) {
    // Each product and sum is rounded by itself; a volatile keeps this compiler from fusing them.
    const double cx = -2.0 + i % kWidth * 0.0625, cy = -1.0 + i / kWidth * 0.0625;
    double x = 0, y = 0;
    int time = 0;
    for (; time < kLimit; ++time) {
      const volatile double xx = x * x, yy = y * y, xy = 2.0 * x * y;
      if (xx + yy > 4.0) break;
      const volatile double difference = xx - yy;
      x = difference + cx;
      y = xy + cy;
    }
    expected.push_back(static_cast<unsigned short>(time));
  }
  EXPECT_TRUE(same(times.values(), expected));
}

TEST_P(GridConformanceTest, AGridWithNoBlocksDoesNothing) {
  const auto x = array(std::vector<float>{1}), y = array(std::vector<float>{1});
  run(kernel("grid_stride"), {.grid = {0}, .block = {32}}, x, y, 1.0f, 1ll);
  EXPECT_EQ(y.values()[0], 1);
}

FMS_ON_EVERY_TARGET(GridConformanceTest);

}  // namespace
}  // namespace fms
