// templates/ptx and templates/tile on a Hopper device: small kernels, a building block each,
// against known answers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/launch.h"
#include "runtime/template_file.h"
#include "runtime/tensor_map.h"
#include "tests/templates/host_array.h"
#include "tests/templates/jit_fixture.h"

namespace fms {
namespace {

float from_bfloat16(std::uint16_t bits) {
  const std::uint32_t word = std::uint32_t{bits} << 16;
  float x;
  std::memcpy(&x, &word, sizeof x);
  return x;
}

// Small integers: products and their sums are exact in any order.
std::vector<float> integers(std::size_t count, unsigned seed, int limit = 4) {
  std::mt19937 bits(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(static_cast<int>(bits() % (2 * limit + 1)) - limit);
  }
  return values;
}

class BuildingBlocksTest : public JitTest {
 protected:
  void SetUp() override {
    JitTest::SetUp();
    if (device_ != nullptr && device_->info().compute_capability != 90) {
      GTEST_SKIP() << "not a device of compute capability 9.0";
    }
  }

  Kernel kernel(const std::string& file, const std::string& entry,
                const Specialization::NamedText& values = {}) {
    // Where it runs the sources may lie elsewhere than where it was built.
    const char* const given = std::getenv("FMS_TEMPLATE_TESTS_FOLDER");
    const std::string folder = given != nullptr ? given : FMS_TEMPLATE_TESTS_FOLDER;
    const auto kernel_template = load_template(folder + "/kernels/" + file + ".cu", entry);
    EXPECT_TRUE(kernel_template) << kernel_template.error().message;
    const auto specialization = Specialization::parse(kernel_template.value(), values);
    EXPECT_TRUE(specialization) << specialization.error().message;
    auto built = jit(Policy::kExact).get(specialization.value(), device_);
    EXPECT_TRUE(built) << built.error().message << "\n" << built.error().detail;
    return std::move(built).value();
  }
  Kernel block(const std::string& entry) { return kernel("building_blocks", entry); }

  template <typename... Arguments>
  void run(const LaunchConfig& config, const Kernel& kernel, const Arguments&... arguments) {
    const auto started = launch(StreamView{}, config, kernel, arguments...);
    ASSERT_TRUE(started) << started.error().message;
    const auto done = device_->synchronize();
    ASSERT_TRUE(done) << done.error().message;
  }

  // Values as 16-bit elements on the device.
  DeviceBuffer elements(const std::vector<float>& values, DType dtype = DType::kBFloat16) {
    HostArray array(dtype, values.size());
    for (std::size_t i = 0; i < values.size(); ++i) array.set(i, values[i]);
    return upload(array.bytes());
  }

  // Rows of `columns` elements, in boxes of 64 columns and `box_rows` rows.
  TensorMap map_of(const DeviceBuffer& buffer, int rows, int columns, int box_rows,
                   DType dtype = DType::kBFloat16) {
    const auto bytes = static_cast<std::uint64_t>(size_of(dtype));
    const std::uint64_t row = columns * bytes, all = row * rows;
    TensorMapSpec spec{.address = reinterpret_cast<std::uintptr_t>(buffer.data()),
                       .dtype = dtype,
                       .rank = 4,
                       .swizzle = Swizzle::k128B};
    spec.shape = {static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows), 1, 1};
    spec.stride = {bytes, row, all, all};
    spec.box = {64, static_cast<std::uint32_t>(box_rows), 1, 1};
    const auto map = maps_.get(*device_, spec);
    EXPECT_TRUE(map) << map.error().message;
    return map.value();
  }

  // wgmma of random integers against plain loops.
  void check_product(int n, bool transposed, bool from_registers, DType dtype) {
    const std::string type = dtype == DType::kFloat16 ? "float16" : "bfloat16";
    SCOPED_TRACE(type + " N " + std::to_string(n) + (transposed ? " transposed" : "") +
                 (from_registers ? " from registers" : ""));
    const std::vector<float> a = integers(64 * 64, 1), b = integers(64 * n, 2);
    std::vector<float> expected(64 * n, 0);
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < n; ++j) {
        for (int k = 0; k < 64; ++k) {
          expected[i * n + j] += a[i * 64 + k] * (transposed ? b[k * n + j] : b[j * 64 + k]);
        }
      }
    }
    const DeviceBuffer a_buffer = elements(a, dtype), b_buffer = elements(b, dtype);
    const DeviceBuffer out = upload(std::vector<float>(64 * n, NAN));
    const int b_rows = transposed ? 64 : n;
    run({.block = {128}, .dynamic_smem_bytes = 100 << 10},
        kernel("wgmma_product", "wgmma_product",
               {{"T", type},
                {"kN", std::to_string(n)},
                {"kTransposeB", transposed ? "true" : "false"},
                {"kFromRegisters", from_registers ? "true" : "false"}}),
        map_of(a_buffer, 64, 64, 64, dtype),
        map_of(b_buffer, b_rows, transposed ? n : 64, b_rows, dtype), out.data());
    EXPECT_EQ(download<float>(out), expected);
  }

 private:
  TensorMapCache maps_;
};

TEST_P(BuildingBlocksTest, WgmmaMultipliesEveryWidthInEveryWay) {
  for (const int n : {8, 16, 40, 64, 72, 128, 176, 256}) {
    for (const bool transposed : {false, true}) {
      for (const bool from_registers : {false, true}) {
        check_product(n, transposed, from_registers, DType::kBFloat16);
      }
    }
  }
}

TEST_P(BuildingBlocksTest, WgmmaMultipliesFloat16) {
  check_product(64, false, false, DType::kFloat16);
  check_product(96, true, true, DType::kFloat16);
}

// mma.sync of random integers, of which rows of b are missing, against plain loops.
TEST_P(BuildingBlocksTest, MmaMultipliesRowsThatCpAsyncCopied) {
  struct Shape {
    int k, n;
    bool transposed;
    int rows;  // of b that are there
    const char* type;
  };
  for (const Shape& s : {Shape{64, 64, false, 64, "bfloat16"}, Shape{64, 64, true, 64, "float16"},
                         Shape{40, 24, false, 19, "bfloat16"}, Shape{24, 40, true, 21, "bfloat16"},
                         Shape{128, 8, false, 3, "float16"}, Shape{8, 128, true, 8, "float16"}}) {
    SCOPED_TRACE(std::string(s.type) + " K " + std::to_string(s.k) + " N " + std::to_string(s.n));
    const std::vector<float> a = integers(16 * s.k, 6), b = integers(s.k * s.n, 7);
    std::vector<float> expected(16 * s.n, 0);
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < s.n; ++j) {
        for (int k = 0; k < s.k; ++k) {
          if ((s.transposed ? k : j) >= s.rows) continue;
          expected[i * s.n + j] +=
              a[i * s.k + k] * (s.transposed ? b[k * s.n + j] : b[j * s.k + k]);
        }
      }
    }
    const DType dtype = std::string(s.type) == "float16" ? DType::kFloat16 : DType::kBFloat16;
    const DeviceBuffer a_buffer = elements(a, dtype), b_buffer = elements(b, dtype),
                       out = upload(std::vector<float>(16 * s.n, NAN));
    run({.block = {32}},
        kernel("mma_product", "mma_product",
               {{"T", s.type},
                {"kK", std::to_string(s.k)},
                {"kN", std::to_string(s.n)},
                {"kTransposeB", s.transposed ? "true" : "false"}}),
        a_buffer.data(), b_buffer.data(), out.data(), s.rows);
    EXPECT_EQ(download<float>(out), expected);
  }
}

TEST_P(BuildingBlocksTest, ThePolynomialIsAPowerOfTwo) {
  std::vector<float> x;
  for (int i = 0; i <= 1 << 18; ++i) {
    x.push_back(-140.0f + 268.0f * static_cast<float>(i) / (1 << 18));
  }
  x.insert(x.end(), {-INFINITY, -127.0f, -126.5f, 0.0f, 1.0f, 126.0f});
  const DeviceBuffer in = upload(x), out = upload(std::vector<float>(x.size(), NAN));
  run({.grid = {132}, .block = {256}}, block("polynomials"), in.data(), out.data(),
      static_cast<int>(x.size()));
  const std::vector<float> y = download<float>(out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] <= -127) {
      EXPECT_EQ(y[i], 0) << x[i];
    } else if (x[i] > -126 && x[i] < 127) {
      ASSERT_NEAR(y[i] / std::exp2(double{x[i]}), 1, 1.2e-4) << x[i];
    }
  }
}

TEST_P(BuildingBlocksTest, AQuadOfLanesIsTransposed) {
  const DeviceBuffer out = upload(std::vector<std::uint32_t>(128, ~0u));
  run({.block = {32}}, block("transposed_quads"), out.data());
  const auto values = download<std::uint32_t>(out);
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned i = 0; i < 4; ++i) {
      EXPECT_EQ(values[lane * 4 + i], (lane / 4 * 4 + i) * 16 + lane % 4);
    }
  }
}

TEST_P(BuildingBlocksTest, APairIsPackedLowFirstAndRoundedToNearestEven) {
  const std::vector<float> x{1, -2, 1.00390625f, 1.01171875f, 0, -0.0f};
  const DeviceBuffer in = upload(x), out = upload(std::vector<std::uint32_t>(3, ~0u));
  run({.block = {3}}, block("packed_pairs"), in.data(), out.data());
  EXPECT_EQ(download<std::uint32_t>(out),
            (std::vector<std::uint32_t>{0xc0003f80, 0x3f823f80, 0x80000000}));
}

TEST_P(BuildingBlocksTest, NamedBarriersGiveWarpgroupsTheirTurns) {
  constexpr int kRounds = 100;
  const DeviceBuffer log = upload(std::vector<int>(2 * kRounds, -1));
  run({.block = {256}}, block("turns"), log.data(), kRounds);
  const std::vector<int> turns = download<int>(log);
  for (int i = 0; i < 2 * kRounds; ++i) EXPECT_EQ(turns[i], i % 2) << i;
}

TEST_P(BuildingBlocksTest, RegistersMoveBetweenWarpgroups) {
  std::vector<int> x(384), expected(384);
  for (int i = 0; i < 384; ++i) {
    x[i] = 1000 + i;
    expected[i] = x[i] + (i < 128 ? 1 : 2);
  }
  const DeviceBuffer in = upload(x), out = upload(std::vector<int>(384, 0));
  run({.block = {384}}, block("moved_registers"), in.data(), out.data());
  EXPECT_EQ(download<int>(out), expected);
}

TEST_P(BuildingBlocksTest, ARingHandsOnEveryTileOnce) {
  constexpr int kTiles = 37;
  const std::vector<float> x = integers(kTiles * 64 * 64, 3, 3);
  double expected = 0;
  for (const float value : x) expected += value;
  const DeviceBuffer in = elements(x), out = upload(std::vector<float>(1, 0));
  run({.block = {160}, .dynamic_smem_bytes = 32 << 10}, block("ring_sum"),
      map_of(in, kTiles * 64, 64, 64), out.data(), kTiles);
  EXPECT_EQ(download<float>(out)[0], expected);
}

TEST_P(BuildingBlocksTest, BlocksOfAClusterLoadForEachOther) {
  constexpr int kTiles = 5;
  const std::vector<float> x = integers(kTiles * 64 * 64, 4, 100);
  const DeviceBuffer in = elements(x), out = elements(std::vector<float>(2 * x.size(), NAN));
  run({.grid = {2}, .block = {128}, .cluster = {2}, .dynamic_smem_bytes = 16 << 10},
      block("multicast"), map_of(in, kTiles * 64, 64, 32), out.data(), kTiles);
  const auto values = download<std::uint16_t>(out);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(from_bfloat16(values[i]), x[i % x.size()]) << i;
  }
}

TEST_P(BuildingBlocksTest, ASchedulesPositionsAreTakenOnceEach) {
  struct Case {
    unsigned workers, blocks;
    int positions;
  };
  for (const Case& c : {Case{7, 1, 100}, Case{132, 1, 512}, Case{1, 1, 6}, Case{64, 1, 64},
                        Case{33, 1, 1000}, Case{32, 2, 64}, Case{7, 2, 100}}) {
    const DeviceBuffer snake = upload(std::vector<int>(c.positions + 8, 0));
    const DeviceBuffer pairs = upload(std::vector<int>(c.positions + 8, 0));
    run({.grid = {1, c.blocks}, .block = {c.workers}}, block("dealt_positions"), c.positions,
        snake.data(), pairs.data());
    std::vector<int> once(c.positions + 8, 0);
    std::fill_n(once.begin(), c.positions, 1);
    EXPECT_EQ(download<int>(snake), once) << c.workers << " workers";
    EXPECT_EQ(download<int>(pairs), once) << c.workers << " workers, " << c.blocks << " blocks";
  }
}

TEST_P(BuildingBlocksTest, ScoresAreWeighedAndGrowthIsSeen) {
  constexpr float kScale = 0.5f;
  std::vector<float> scores(256), base(16, 200.0f);
  std::mt19937 bits(5);
  std::normal_distribution<float> normal(0, 4);
  for (float& score : scores) score = normal(bits);
  const DeviceBuffer in = upload(scores), max = upload(std::vector<float>(16, NAN)),
                     sum = upload(std::vector<float>(16, NAN)),
                     weights = elements(std::vector<float>(256, NAN)),
                     too_large = upload(std::vector<int>(1, -1));
  const Kernel weigh = block("weighed_scores");
  const void* null = nullptr;
  run({.block = {32}}, weigh, in.data(), null, kScale, max.data(), sum.data(), weights.data(),
      too_large.data());
  EXPECT_EQ(download<int>(too_large)[0], 0);
  for (int row = 0; row < 16; ++row) {
    float largest = -INFINITY;
    for (int i = 0; i < 16; ++i) largest = std::max(largest, scores[row * 16 + i] * kScale);
    EXPECT_EQ(download<float>(max)[row], largest);
    double expected_sum = 0;
    for (int i = 0; i < 16; ++i) {
      const double expected = std::exp2(double{scores[row * 16 + i]} * kScale - largest - 3);
      expected_sum += expected;
      const auto weight = from_bfloat16(download<std::uint16_t>(weights)[row * 16 + i]);
      EXPECT_NEAR(weight / expected, 1, 0x1p-8 + 1e-6) << row << " " << i;
    }
    EXPECT_NEAR(download<float>(sum)[row] / expected_sum, 1, 2e-6) << row;
  }

  // One row, of all, has a weight of 2 or more.
  base[11] = download<float>(max)[11] - 1.5f;
  const DeviceBuffer bases = upload(base);
  run({.block = {32}}, weigh, in.data(), bases.data(), kScale, max.data(), sum.data(),
      weights.data(), too_large.data());
  EXPECT_EQ(download<int>(too_large)[0], 1);
}

INSTANTIATE_TEST_SUITE_P(On, BuildingBlocksTest, ::testing::Values("cuda"), target_name);

}  // namespace
}  // namespace fms
