#include "tools/fms/roof_measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "runtime/device_buffer.h"
#include "runtime/event.h"
#include "tools/fms/gpu_timing.h"

namespace fms::program {
namespace {

// Chains are as many as hide the latency of an addition without leaving the registers: which number
// that is depends on the processor, so several are tried. The body is long and free of loops, since
// a CPU goes from one round to the next at the price of some hundred instructions.
constexpr const char* kTemplate = R"(#include "fms/parameter.cuh"
FMS_KERNEL(roof_fma, "chains of multiply-adds in registers");
FMS_TYPE(T, float32, "type of the operands", choices(float32, float64));
FMS_INT(kChains, 6, "multiply-adds in flight", range(1, 64));
extern "C" __global__ void __launch_bounds__(256) roof_fma(T* out, T a, T b, int rounds) {
  T chains[kChains];
#pragma unroll
  for (int i = 0; i < kChains; ++i) chains[i] = T(threadIdx.x + i);
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int step = 0; step < 64; ++step) {
#pragma unroll
      for (int i = 0; i < kChains; ++i) chains[i] = fma(chains[i], a, b);
    }
  }
  T sum = 0;
#pragma unroll
  for (int i = 0; i < kChains; ++i) sum += chains[i];
  out[blockIdx.x * 256 + threadIdx.x] = sum;
}
)";
constexpr int kSteps = 64;
constexpr int kChoicesOfChains[] = {3, 4, 5, 6, 8};

// Four elements a thread: one alone leaves too few bytes in flight on a GPU. A float4 would be as
// good there, but a CPU's vectors take neighbouring threads, not neighbouring elements of one.
constexpr const char* kCopyTemplate = R"(#include "fms/parameter.cuh"
FMS_KERNEL(roof_copy, "out = in");
extern "C" __global__ void __launch_bounds__(256) roof_copy(const float* __restrict__ in,
                                                            float* __restrict__ out) {
  const size_t first = size_t(blockIdx.x) * 1024 + threadIdx.x;
#pragma unroll
  for (int i = 0; i < 4; ++i) out[first + 256 * i] = in[first + 256 * i];
}
)";

constexpr std::uint32_t kBlock = 256;
constexpr std::size_t kCopyBytes = std::size_t{256} << 20;  // more than caches hold
constexpr int kRepeats = 5;
constexpr double kLongEnoughMs = 20;  // beside which starting a kernel is nothing

class RoofMeasurement {
 public:
  RoofMeasurement(Jit& jit, std::shared_ptr<Device> device)
      : jit_(jit), device_(std::move(device)) {}

  Result<double> flops(DType type) {
    double best = 0;
    for (const int chains : kChoicesOfChains) {
      FMS_TRY(const double reached, flops(type, chains));
      best = std::max(best, reached);
    }
    return best;
  }

  Result<double> bytes_a_second() {
    FMS_TRY(const Kernel copy, kernel("roof_copy.cu", kCopyTemplate, {}));
    FMS_TRY(DeviceBuffer in, DeviceBuffer::allocate(device_, kCopyBytes));
    FMS_TRY(DeviceBuffer out, DeviceBuffer::allocate(device_, kCopyBytes));
    // Pages that were never written may all be one and the same.
    FMS_TRY_VOID(in.fill(1));
    FMS_TRY_VOID(out.fill(0));
    constexpr std::size_t kBytesOfBlock = kBlock * 16;
    const LaunchConfig config{.grid = {kCopyBytes / kBytesOfBlock}, .block = {kBlock}};
    FMS_TRY(const double ms, fastest_ms([&](StreamView stream) {
              return launch(stream, config, copy, in.data(), out.data());
            }));
    return 2.0 * kCopyBytes / (ms * 1e-3);
  }

 private:
  Result<Kernel> kernel(const char* file, const char* text,
                        const Specialization::NamedText& values) {
    FMS_TRY(auto kernel_template, KernelTemplate::parse(file, text));
    FMS_TRY(const auto specialization, Specialization::parse(std::move(kernel_template), values));
    return jit_.get(specialization, device_, {.record = false});
  }

  Result<double> fastest_ms(const std::function<Result<void>(StreamView)>& work) {
    FMS_TRY(const Stream stream, Stream::create(device_));
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kRepeats; ++i) {
      FMS_TRY(const double ms, median_gpu_ms(device_, stream, 1, [&] { return work(stream); }));
      best = std::min(best, ms);
    }
    return best;
  }

  Result<double> flops(DType type, int chains) {
    FMS_TRY(const Kernel fma,
            kernel("roof_fma.cu", kTemplate,
                   {{"T", std::string(to_string(type))}, {"kChains", fmt::format("{}", chains)}}));
    // Enough for each SM, and for each core of a CPU, to be busy to the end.
    const std::uint32_t blocks = 64 * static_cast<std::uint32_t>(device_->info().sm_count);
    FMS_TRY(DeviceBuffer out,
            DeviceBuffer::allocate(device_, std::size_t{blocks} * kBlock * size_of(type)));
    const LaunchConfig config{.grid = {blocks}, .block = {kBlock}};
    int rounds = 4;
    const auto run = [&](StreamView stream) {
      // Values that settle: none becomes infinite or too small to be normal.
      return type == DType::kFloat64 ? launch(stream, config, fma, out.data(), 0.5, 1.0, rounds)
                                     : launch(stream, config, fma, out.data(), 0.5f, 1.0f, rounds);
    };
    for (;; rounds *= 4) {
      FMS_TRY(const double ms, fastest_ms(run));
      if (ms < kLongEnoughMs && rounds < (1 << 24)) continue;
      return 2.0 * chains * kSteps * rounds * kBlock * blocks / (ms * 1e-3);
    }
  }

  Jit& jit_;
  std::shared_ptr<Device> device_;
};

}  // namespace

Result<Roof> measure_roof(Jit& jit, const std::shared_ptr<Device>& device, DType type) {
  RoofMeasurement measurement(jit, device);
  Roof roof{.measured = true,
            .device = device->is_cpu() ? "cpu" : fmt::format("cuda:{}", device->info().ordinal),
            .precision = std::string(to_string(type))};
  FMS_TRY(roof.peak_flops, measurement.flops(type));
  FMS_TRY(roof.bytes_a_second, measurement.bytes_a_second());
  return roof;
}

}  // namespace fms::program
