#include "tools/fms/demo_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "runtime/device_buffer.h"
#include "runtime/launch.h"
#include "tools/fms/attention_run.h"
#include "tools/fms/small_float.h"

namespace fms::program {
namespace {

constexpr double kRoundoff = 0x1p-24;  // of float

std::vector<float> random_floats(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
  std::vector<float> values(count);
  std::ranges::generate(values, [&] { return distribution(generator); });
  return values;
}

// `value` against `exact`, which it may miss by `bound`.
void compare(double value, double exact, double bound, DemoCheck& check) {
  const double error = std::abs(value - exact);
  // Written so that NaN is over every bound.
  if (!(error <= check.max_error)) check.max_error = error;
  const double ratio = error == 0 ? 0 : error / bound;
  if (!(ratio <= check.worst)) check.worst = ratio;
}

Result<DeviceBuffer> to_device(const Kernel& kernel, std::span<const float> values) {
  FMS_TRY(DeviceBuffer buffer, DeviceBuffer::allocate(kernel.device(), values.size_bytes()));
  FMS_TRY_VOID(buffer.upload(std::as_bytes(values)));
  return buffer;
}

Result<std::vector<float>> from_device(const DeviceBuffer& buffer) {
  std::vector<float> values(buffer.size() / sizeof(float));
  FMS_TRY_VOID(buffer.download(std::as_writable_bytes(std::span(values))));
  return values;
}

std::uint32_t blocks(int length, int tile) {
  return static_cast<std::uint32_t>((length + tile - 1) / tile);
}

Result<Specialization> specialize(const char* name, const Specialization::NamedText& values) {
  FMS_TRY(auto kernel_template, KernelTemplate::embedded(name));
  return Specialization::parse(std::move(kernel_template), values);
}

constexpr int kElements = (1 << 20) + 3;
constexpr int kReduceBlocks = 128;
constexpr int kRows = 1000, kColumns = 777;
constexpr int kM = 256, kN = 192, kK = 320;

Result<DemoCheck> run_saxpy(Jit&, const Kernel& kernel) {
  const float a = 1.5f;
  const auto x = random_floats(kElements, 1), y = random_floats(kElements, 2);
  FMS_TRY(const DeviceBuffer dx, to_device(kernel, x));
  FMS_TRY(const DeviceBuffer dy, to_device(kernel, y));
  const LaunchConfig config{.grid = {.x = blocks(kElements, 256)}, .block = {.x = 256}};
  FMS_TRY_VOID(launch({}, config, kernel, dx.data(), dy.data(), a, kElements));
  FMS_TRY(const std::vector<float> result, from_device(dy));
  DemoCheck check;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double product = double{a} * x[i];
    // One rounding of the product and one of the sum.
    const double bound = 2 * kRoundoff * (std::abs(product) + std::abs(double{y[i]}));
    compare(result[i], product + y[i], bound, check);
  }
  return check;
}

Result<DemoCheck> run_block_reduce(Jit&, const Kernel& kernel) {
  const auto x = random_floats(kElements, 3);
  FMS_TRY(const DeviceBuffer dx, to_device(kernel, x));
  FMS_TRY(const DeviceBuffer partial,
          DeviceBuffer::allocate(kernel.device(), kReduceBlocks * sizeof(float)));
  const LaunchConfig config{.grid = {.x = kReduceBlocks}, .block = {.x = 256}};
  FMS_TRY_VOID(launch({}, config, kernel, dx.data(), partial.data(), kElements));
  FMS_TRY(const std::vector<float> result, from_device(partial));
  std::vector<double> sums(kReduceBlocks), magnitudes(kReduceBlocks);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t block = i / 256 % kReduceBlocks;
    sums[block] += x[i];
    magnitudes[block] += std::abs(double{x[i]});
  }
  // Each element goes through a thread's own additions, then two trees of five.
  const double additions = kElements / (256 * kReduceBlocks) + 1 + 10;
  DemoCheck check;
  for (std::size_t b = 0; b < sums.size(); ++b) {
    compare(result[b], sums[b], additions * kRoundoff * magnitudes[b], check);
  }
  return check;
}

Result<DemoCheck> run_transpose(Jit&, const Kernel& kernel) {
  const auto in = random_floats(std::size_t{kRows} * kColumns, 4);
  FMS_TRY(const DeviceBuffer din, to_device(kernel, in));
  FMS_TRY(const DeviceBuffer dout, DeviceBuffer::allocate(kernel.device(), din.size()));
  const LaunchConfig config{.grid = {.x = blocks(kColumns, 32), .y = blocks(kRows, 32)},
                            .block = {.x = 32, .y = 8}};
  FMS_TRY_VOID(launch({}, config, kernel, din.data(), dout.data(), kRows, kColumns));
  FMS_TRY(const std::vector<float> result, from_device(dout));
  DemoCheck check;
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      // A copy is exact, or it is wrong.
      compare(result[column * kRows + row], in[row * kColumns + column], 0, check);
    }
  }
  return check;
}

Result<DemoCheck> run_gemm(Jit&, const Kernel& kernel) {
  const auto a = random_floats(std::size_t{kM} * kK, 5), b = random_floats(std::size_t{kK} * kN, 6);
  FMS_TRY(const DeviceBuffer da, to_device(kernel, a));
  FMS_TRY(const DeviceBuffer db, to_device(kernel, b));
  FMS_TRY(const DeviceBuffer dc,
          DeviceBuffer::allocate(kernel.device(), std::size_t{kM} * kN * sizeof(float)));
  const LaunchConfig config{.grid = {.x = blocks(kN, 64), .y = blocks(kM, 64)},
                            .block = {.x = 256}};
  FMS_TRY_VOID(launch({}, config, kernel, da.data(), db.data(), dc.data(), kM, kN, kK));
  FMS_TRY(const std::vector<float> result, from_device(dc));
  DemoCheck check;
  for (std::size_t i = 0; i < kM; ++i) {
    for (std::size_t j = 0; j < kN; ++j) {
      double sum = 0, magnitude = 0;
      for (std::size_t k = 0; k < kK; ++k) {
        const double product = double{a[i * kK + k]} * b[k * kN + j];
        sum += product;
        magnitude += std::abs(product);
      }
      compare(result[i * kN + j], sum, kK * kRoundoff * magnitude, check);
    }
  }
  return check;
}

std::vector<std::byte> random_array(DType dtype, std::size_t count, unsigned seed) {
  const std::vector<float> values = random_floats(count, seed);
  std::vector<std::uint16_t> halves;
  std::span<const std::byte> bytes = std::as_bytes(std::span(values));
  if (dtype == DType::kBFloat16) {
    for (const float value : values) halves.push_back(float_to_bfloat16(value));
    bytes = std::as_bytes(std::span(halves));
  }
  return {bytes.begin(), bytes.end()};
}

Result<DemoCheck> run_attention_once(Jit& jit, const Kernel& kernel,
                                     const attention::Problem& problem) {
  const std::size_t count =
      static_cast<std::size_t>(problem.batch) * problem.heads * problem.seq_q * problem.head_dim;
  const auto q = random_array(problem.dtype, count, 7), k = random_array(problem.dtype, count, 8),
             v = random_array(problem.dtype, count, 9);
  const AttentionInputs inputs{.q = q, .k = k, .v = v};
  FMS_TRY(const AttentionOutputs outputs,
          run_attention(jit, kernel.device(), problem, inputs, /*repeat=*/0));
  FMS_TRY(const AttentionCheck check, check_attention(problem, inputs, outputs));
  return DemoCheck{check.output.max_error, check.output.worst};
}

Result<DemoKernel> attention_kernel(const Target& target, DType dtype, attention::Mask mask) {
  const attention::Problem problem{.dtype = dtype,
                                   .batch = 1,
                                   .heads = 8,
                                   .kv_heads = 8,
                                   .seq_q = 1024,
                                   .seq_k = 1024,
                                   .head_dim = 64,
                                   .mask = mask};
  FMS_TRY(attention::Plan plan, attention::plan(problem, target));
  return DemoKernel{.what = fmt::format("attention, {}, B1 H8 N1024 D64{}", to_string(dtype),
                                        mask == attention::Mask::kFull ? "" : " causal"),
                    .specialization = std::move(plan.specialization),
                    .run = [problem](Jit& jit, const Kernel& kernel) {
                      return run_attention_once(jit, kernel, problem);
                    }};
}

}  // namespace

Result<std::vector<DemoKernel>> demo_kernels(const Target& target) {
  using std::to_string;
  std::vector<DemoKernel> kernels;
  FMS_TRY(Specialization saxpy, specialize("saxpy", {{"kN", to_string(kElements)}}));
  kernels.push_back({fmt::format("saxpy, {} elements", kElements), std::move(saxpy), run_saxpy});
  FMS_TRY(Specialization reduce, specialize("block_reduce", {{"kN", to_string(kElements)}}));
  kernels.push_back(
      {fmt::format("block_reduce, {} elements", kElements), std::move(reduce), run_block_reduce});
  FMS_TRY(Specialization transpose, specialize("transpose", {{"kRows", to_string(kRows)},
                                                             {"kColumns", to_string(kColumns)}}));
  kernels.push_back(
      {fmt::format("transpose, {}x{}", kRows, kColumns), std::move(transpose), run_transpose});
  FMS_TRY(
      Specialization gemm,
      specialize("gemm", {{"kM", to_string(kM)}, {"kN", to_string(kN)}, {"kK", to_string(kK)}}));
  kernels.push_back({fmt::format("gemm, {}x{}x{}", kM, kN, kK), std::move(gemm), run_gemm});
  FMS_TRY(DemoKernel bf16, attention_kernel(target, DType::kBFloat16, attention::Mask::kCausal));
  kernels.push_back(std::move(bf16));
  FMS_TRY(DemoKernel fp32, attention_kernel(target, DType::kFloat32, attention::Mask::kFull));
  kernels.push_back(std::move(fp32));
  return kernels;
}

}  // namespace fms::program
