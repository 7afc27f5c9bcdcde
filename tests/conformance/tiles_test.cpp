// Tiles in shared memory, sparse rows and particles: how real kernels use a block.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class TileConformanceTest : public ConformanceTest {};

// A sum of n terms is off by at most n roundings, each 2^-24 of the sum of their absolute values.
Expected sum_of_floats(double sum, double absolute, int n) {
  return {.value = sum, .tolerance = n * 0x1p-24 * absolute};
}

TEST_P(TileConformanceTest, ATiledProductOfMatricesIsWithinTheRoundingOfItsSums) {
  const Kernel product = kernel("matmul_tiled");
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {16, 16, 16}, {17, 33, 50}, {45, 5, 129}}) {
    const auto a = random_reals<float>(m * k, -1, 1, 1), b = random_reals<float>(k * n, -1, 1, 2);
    const auto c = poisoned<float>(m * n);
    run(product, {.grid = {blocks_of(n, 16), blocks_of(m, 16)}, .block = {16, 16}}, array(a),
        array(b), c, m, n, k);
    std::vector<Expected> expected;
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double sum = 0, absolute = 0;
        for (int l = 0; l < k; ++l) {
          const double term = double{a[i * k + l]} * b[l * n + j];
          sum += term;
          absolute += std::abs(term);
        }
        expected.push_back(sum_of_floats(sum, absolute, k));
      }
    }
    EXPECT_TRUE(near(c.values(), expected)) << m << " " << n << " " << k;
  }
}

TEST_P(TileConformanceTest, ATransposeMovesEveryElement) {
  const Kernel transpose = kernel("transpose_shared");
  for (const auto& [rows, columns] : {std::pair{1, 1}, {32, 32}, {33, 100}, {97, 31}}) {
    const auto in = random_bits<unsigned short>(rows * columns);
    const auto out = poisoned<unsigned short>(rows * columns);
    run(transpose, {.grid = {blocks_of(columns, 32), blocks_of(rows, 32)}, .block = {32, 8}},
        array(in), out, rows, columns);
    std::vector<unsigned short> expected(in.size());
    for (int i = 0; i < rows * columns; ++i) expected[i % columns * rows + i / columns] = in[i];
    EXPECT_TRUE(same(out.values(), expected)) << rows << " " << columns;
  }
}

TEST_P(TileConformanceTest, AStencilInOneDimensionReachesOverItsBlock) {
  const Kernel stencil = kernel("stencil_1d");
  for (const int n : {1, 3, 96, 97, 1000}) {
    const auto x = random_integers<int>(n, -1000, 1000);
    const auto sums = poisoned<int>(n);
    run(stencil, covering(n, 96), array(x), sums, n);
    std::vector<int> expected(n, 0);
    for (int i = 0; i < n; ++i) {
      for (int j = std::max(i - 3, 0); j <= std::min(i + 3, n - 1); ++j) expected[i] += x[j];
    }
    EXPECT_TRUE(same(sums.values(), expected)) << n;
  }
}

TEST_P(TileConformanceTest, AStencilInThreeDimensionsIsPeriodic) {
  struct Extent {
    int x, y, z;
  };
  const Kernel stencil = kernel("stencil_3d");
  for (const Extent& e : {Extent{1, 1, 1}, {8, 8, 4}, {9, 13, 7}, {20, 3, 11}}) {
    const auto in = random_integers<int>(e.x * e.y * e.z, -1000, 1000);
    const auto out = poisoned<int>(in.size());
    run(stencil,
        {.grid = {blocks_of(e.x, 8), blocks_of(e.y, 8), blocks_of(e.z, 4)}, .block = {8, 8, 4}},
        array(in), out, e);
    const auto at = [&](int x, int y, int z) {
      return in[((z + e.z) % e.z * e.y + (y + e.y) % e.y) * e.x + (x + e.x) % e.x];
    };
    std::vector<int> expected;
    for (int z = 0; z < e.z; ++z) {
      for (int y = 0; y < e.y; ++y) {
        for (int x = 0; x < e.x; ++x) {
          expected.push_back(2 * at(x, y, z) + 3 * at(x - 1, y, z) + 5 * at(x + 1, y, z) +
                             7 * at(x, y - 1, z) + 11 * at(x, y + 1, z) + 13 * at(x, y, z - 1) +
                             17 * at(x, y, z + 1));
        }
      }
    }
    EXPECT_TRUE(same(out.values(), expected)) << e.x << " " << e.y << " " << e.z;
  }
}

TEST_P(TileConformanceTest, ABitonicNetworkSortsEachBlock) {
  const Kernel sort = kernel("bitonic_sort");
  for (const unsigned block : {1u, 2u, 32u, 512u}) {
    auto x = random_bits<unsigned>(block * 3);
    x.front() = x.back() = 12345;  // equal keys
    const auto keys = array(x);
    run(sort, {.grid = {3}, .block = {block}}, keys);
    for (unsigned i = 0; i < 3; ++i) {
      std::sort(x.begin() + i * block, x.begin() + (i + 1) * block);
    }
    EXPECT_TRUE(same(keys.values(), x)) << block;
  }
}

// A sparse matrix by rows, with empty rows and long ones.
struct SparseMatrix {
  std::vector<int> row_starts{0}, columns;
  std::vector<float> values;
};

SparseMatrix random_matrix(int rows, int columns) {
  SparseMatrix matrix;
  const auto lengths = random_integers<int>(rows, 0, 40, 3);
  for (const int length : lengths) {
    matrix.row_starts.push_back(matrix.row_starts.back() + (length < 10 ? 0 : length * length / 8));
  }
  matrix.columns = random_integers<int>(matrix.row_starts.back(), 0, columns - 1, 4);
  matrix.values = random_reals<float>(matrix.row_starts.back(), -1, 1, 5);
  return matrix;
}

TEST_P(TileConformanceTest, SparseRowsAreMultipliedByAThreadOrByAWarp) {
  constexpr int kRows = 203, kColumns = 1009;
  const SparseMatrix matrix = random_matrix(kRows, kColumns);
  const auto x = random_reals<float>(kColumns, -1, 1, 6);
  std::vector<Expected> expected;
  for (int row = 0; row < kRows; ++row) {
    double sum = 0, absolute = 0;
    for (int i = matrix.row_starts[row]; i < matrix.row_starts[row + 1]; ++i) {
      const double term = double{matrix.values[i]} * x[matrix.columns[i]];
      sum += term;
      absolute += std::abs(term);
    }
    expected.push_back(
        sum_of_floats(sum, absolute, matrix.row_starts[row + 1] - matrix.row_starts[row]));
  }
  for (const char* name : {"spmv_scalar", "spmv_vector"}) {
    const auto y = poisoned<float>(kRows);
    run(kernel(name), covering(kRows, 64), array(matrix.row_starts), array(matrix.columns),
        array(matrix.values), array(x), y, kRows);
    EXPECT_TRUE(near(y.values(), expected)) << name;
  }
}

struct Body {
  alignas(16) float x;
  float y, z, mass;
};

TEST_P(TileConformanceTest, BodiesAttractEachOther) {
  const Kernel nbody = kernel("nbody");
  for (const int n : {1, 63, 130}) {
    const auto numbers = random_reals<float>(4 * n, 0.1, 1);
    std::vector<Body> bodies;
    for (int i = 0; i < n; ++i) {
      bodies.push_back(
          {numbers[4 * i], numbers[4 * i + 1], numbers[4 * i + 2], numbers[4 * i + 3]});
    }
    const float softening = 0.01f;
    const auto accelerations = poisoned<float>(3 * n);
    run(nbody, covering(n, 64), array(bodies), accelerations, softening, n);
    std::vector<Expected> expected;
    for (const Body& from : bodies) {
      double sum[3] = {}, absolute = 0;
      for (const Body& to : bodies) {
        const double d[] = {double{to.x} - from.x, double{to.y} - from.y, double{to.z} - from.z};
        const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + softening;
        for (int i = 0; i < 3; ++i) {
          const double term = to.mass * d[i] / (square * std::sqrt(square));
          sum[i] += term;
          absolute += std::abs(term);
        }
      }
      // A term is off by less than 32 half ulps: rsqrtf by 4, thrice, and some ten operations.
      for (const double value : sum) expected.push_back(sum_of_floats(value, absolute, n + 32));
    }
    EXPECT_TRUE(near(accelerations.values(), expected)) << n;
  }
}

TEST_P(TileConformanceTest, TwoArraysLieInDynamicSharedMemory) {
  const Kernel carve = kernel("dynamic_shared");
  for (const int count : {8, 100, 999}) {
    constexpr int kBlocks = 4;
    const auto doubles = poisoned<double>(kBlocks * count);
    const auto shorts = poisoned<short>(kBlocks * count);
    const auto statics = poisoned<int>(kBlocks * 7);
    run(carve,
        {.grid = {kBlocks},
         .block = {48},
         .dynamic_smem_bytes = static_cast<std::uint32_t>(count) * 10},
        doubles, shorts, statics, count);
    std::vector<double> expected_doubles;
    std::vector<short> expected_shorts;
    std::vector<int> expected_statics;
    for (int block = 0; block < kBlocks; ++block) {
      for (int i = count - 1; i >= 0; --i) {
        expected_doubles.push_back(block + i * 0.5);
        expected_shorts.push_back(static_cast<short>(block * 1000 - i));
      }
      for (int i = 6; i >= 0; --i) expected_statics.push_back(block * 10 + i);
    }
    EXPECT_TRUE(same(doubles.values(), expected_doubles)) << count;
    EXPECT_TRUE(same(shorts.values(), expected_shorts)) << count;
    EXPECT_TRUE(same(statics.values(), expected_statics)) << count;
  }
}

TEST_P(TileConformanceTest, ArraysOfDynamicSharedMemoryBeginAtOnePlace) {
  constexpr unsigned kBlock = 50;
  const auto out = poisoned<unsigned>(kBlock);
  const auto parts = poisoned<unsigned short>(kBlock);
  run(kernel("shared_aliases"), {.block = {kBlock}, .dynamic_smem_bytes = kBlock * 4}, out, parts);
  std::vector<unsigned> expected;
  std::vector<unsigned short> expected_parts;
  for (unsigned i = 0; i < kBlock; ++i) {
    const unsigned word = 0x01020304u * (i % 16);
    const unsigned others = (i % 3 + 1) + 2 * (i % 2) + 1;
    expected.push_back((word & 255) + 256 * (word >> 24) + 65536 * others);
    expected_parts.push_back(static_cast<unsigned short>(word >> 16));
  }
  EXPECT_TRUE(same(out.values(), expected));
  EXPECT_TRUE(same(parts.values(), expected_parts));
}

FMS_ON_EVERY_TARGET(TileConformanceTest);

}  // namespace
}  // namespace fms
