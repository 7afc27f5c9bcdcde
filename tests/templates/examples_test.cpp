// The example templates on each target, by known answers.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "compiler/specialization.h"
#include "tests/templates/host_array.h"
#include "tests/templates/jit_fixture.h"

namespace fms {
namespace {

class ExamplesTest : public JitTest {
 protected:
  Kernel kernel(std::string_view name, const Specialization::NamedText& values) {
    auto specialization = Specialization::parse(KernelTemplate::embedded(name).value(), values);
    auto loaded = jit(Policy::kExact).get(specialization.value(), device_);
    if (!loaded) ADD_FAILURE() << loaded.error().message << "\n" << loaded.error().detail;
    return std::move(loaded).value();
  }

  template <typename... Arguments>
  void start(const Kernel& kernel, Dim3 grid, Dim3 block, const Arguments&... arguments) {
    const auto done = launch(StreamView{}, {.grid = grid, .block = block}, kernel, arguments...);
    ASSERT_TRUE(done) << done.error().message;
  }
};

std::uint32_t blocks(int size, int tile) {
  return static_cast<std::uint32_t>((size + tile - 1) / tile);
}

std::vector<float> random(std::size_t count, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(bits);
  return values;
}

TEST_P(ExamplesTest, SaxpyAddsAMultiple) {
  for (const int n : {1, 255, 256, 1000}) {
    for (const char* size : {"dynamic", "exact"}) {
      std::vector<float> x(n), y(n, 1.0f);
      std::iota(x.begin(), x.end(), 0.0f);
      const DeviceBuffer device_x = upload(x), device_y = upload(y);
      const std::string exact = std::to_string(n);
      start(kernel("saxpy", {{"kN", std::string(size) == "exact" ? exact : "dynamic"}}),
            {.x = blocks(n, 256)}, {.x = 256}, device_x.data(), device_y.data(), 2.0f, n);
      y = download<float>(device_y);
      for (int i = 0; i < n; ++i) ASSERT_EQ(y[i], 2.0f * static_cast<float>(i) + 1) << n;
    }
  }
}

TEST_P(ExamplesTest, BlockReduceSumsIntegersExactlyInTwoLaunches) {
  for (const int n : {0, 1, 31, 1000, 100'000}) {
    std::vector<float> x(n);
    for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i % 7);
    const float expected = std::accumulate(x.begin(), x.end(), 0.0f);
    x.push_back(1e30f);  // must not be read
    constexpr int kBlocks = 10;
    const DeviceBuffer device_x = upload(x), partial = upload(std::vector<float>(kBlocks)),
                       sum = upload(std::vector<float>(1));
    const Kernel reduce = kernel("block_reduce", {});
    start(reduce, {.x = kBlocks}, {.x = 256}, device_x.data(), partial.data(), n);
    start(reduce, {.x = 1}, {.x = 256}, partial.data(), sum.data(), kBlocks);
    EXPECT_EQ(download<float>(sum)[0], expected) << n;
  }
}

TEST_P(ExamplesTest, TransposeMovesEveryElement) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {32, 32}, {33, 100}, {257, 31}}) {
    std::vector<float> in(static_cast<std::size_t>(rows) * columns);
    std::iota(in.begin(), in.end(), 0.0f);
    const DeviceBuffer device_in = upload(in), device_out = upload(std::vector<float>(in.size()));
    start(kernel("transpose", {}), {.x = blocks(columns, 32), .y = blocks(rows, 32)},
          {.x = 32, .y = 8}, device_in.data(), device_out.data(), rows, columns);
    const std::vector<float> out = download<float>(device_out);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        ASSERT_EQ(out[static_cast<std::size_t>(j) * rows + i],
                  in[static_cast<std::size_t>(i) * columns + j]);
      }
    }
  }
}

TEST_P(ExamplesTest, GemmIsWithinTheRoundingOfItsSums) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {64, 64, 16}, {100, 65, 33}, {5, 200, 129}}) {
    const std::vector<float> a = random(static_cast<std::size_t>(m) * k, 1),
                             b = random(static_cast<std::size_t>(k) * n, 2);
    const DeviceBuffer device_a = upload(a), device_b = upload(b),
                       device_c = upload(std::vector<float>(static_cast<std::size_t>(m) * n, NAN));
    start(kernel("gemm", {}), {.x = blocks(n, 64), .y = blocks(m, 64)}, {.x = 256}, device_a.data(),
          device_b.data(), device_c.data(), m, n, k);
    const std::vector<float> c = download<float>(device_c);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double expected = 0, absolute = 0;
        for (int l = 0; l < k; ++l) {
          const double product = double{a[static_cast<std::size_t>(i) * k + l]} *
                                 b[static_cast<std::size_t>(l) * n + j];
          expected += product;
          absolute += std::abs(product);
        }
        // k roundings of partial sums, each at most 2^-24 of the sum of absolute products.
        ASSERT_NEAR(c[static_cast<std::size_t>(i) * n + j], expected, k * 0x1p-24 * absolute);
      }
    }
  }
}

FMS_ON_EVERY_TARGET(ExamplesTest);

}  // namespace
}  // namespace fms
