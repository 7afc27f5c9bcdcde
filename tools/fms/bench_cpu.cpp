#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <thread>

#include "compiler/llvm_library.h"
#include "runtime/device_buffer.h"
#include "runtime/ops/attention.h"
#include "tools/fms/bench.h"
#include "tools/fms/bench_cpu_floor.h"
#include "tools/fms/process.h"
#include "tools/fms/timing.h"

namespace fms::program {
namespace {

using nlohmann::json;

constexpr int kSize = 4096;  // of a square matrix of floats: 64 MiB
constexpr std::size_t kArea = std::size_t{kSize} * kSize;

constexpr const char* kSaxpyRow = "CPU: saxpy over 64 MiB";
constexpr const char* kTransposeRow = "CPU: transpose of 64 MiB";
constexpr const char* kAttentionRow = "CPU: attention forward, fp32, B1 H8 N1024 D64";
constexpr const char* kCompileRow = "CPU: cold compile of that attention kernel";
constexpr const char* kOpenRow = "CPU: opening the LLVM library, in a new process";
constexpr const char* kLoadRow = "CPU: load and first launch from the store, in a new process";

attention::Problem attention_problem() {
  return {.dtype = DType::kFloat32,
          .batch = 1,
          .heads = 8,
          .kv_heads = 8,
          .seq_q = 1024,
          .seq_k = 1024,
          .head_dim = 64,
          .mask = attention::Mask::kFull};
}

// q, k and v one after the other from `in` on.
attention::Arguments arguments_of(const attention::Problem& problem, const float* in, void* out) {
  const std::size_t count = std::size_t(problem.heads) * problem.seq_q * problem.head_dim;
  const attention::Strides strides =
      attention::bhsd_strides(problem.heads, problem.seq_q, problem.head_dim);
  return {.q = in,
          .k = in + count,
          .v = in + 2 * count,
          .o = out,
          .q_strides = strides,
          .k_strides = strides,
          .v_strides = strides,
          .o_strides = strides};
}

// The same kernel but for its sizes, and one block of it: what is timed is not its work.
attention::Problem small_problem() {
  attention::Problem problem = attention_problem();
  problem.heads = problem.kv_heads = 1;
  problem.seq_q = problem.seq_k = 64;
  return problem;
}

// Runs `work` on a share of `count` in a thread for each core.
void on_all_cores(std::size_t count, const std::function<void(std::size_t, std::size_t)>& work) {
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  for (std::size_t core = 0; core < cores; ++core) {
    threads.emplace_back(work, count * core / cores, count * (core + 1) / cores);
  }
}

double ms_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return seconds_since(start) * 1e3;
}

class CpuBench {
 public:
  static Result<CpuBench> make(const BenchSetup& setup, std::shared_ptr<Device> device) {
    JitOptions options = setup.with_store("cpu");
    options.policy = Policy::kExact;
    FMS_TRY(Jit jit, Jit::create(std::move(options)));
    CpuBench bench(setup, std::move(device), std::move(jit));
    FMS_TRY(bench.x_, DeviceBuffer::allocate(bench.device_, kArea * sizeof(float)));
    FMS_TRY(bench.y_, DeviceBuffer::allocate(bench.device_, kArea * sizeof(float)));
    std::mt19937 bits(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (float& value : bench.floats(bench.x_)) value = uniform(bits);
    for (float& value : bench.floats(bench.y_)) value = uniform(bits);
    return bench;
  }

  Result<std::vector<BenchRow>> run() {
    std::vector<BenchRow> rows;
    FMS_TRY(rows.emplace_back(), saxpy());
    FMS_TRY(rows.emplace_back(), transpose());
    FMS_TRY(rows.emplace_back(), attention());
    FMS_TRY(rows.emplace_back(), compile());
    FMS_TRY(std::vector<BenchRow> started, start());
    for (BenchRow& row : started) rows.push_back(std::move(row));
    return rows;
  }

 private:
  CpuBench(const BenchSetup& setup, std::shared_ptr<Device> device, Jit jit)
      : setup_(setup), device_(std::move(device)), jit_(std::move(jit)) {}

  // A CPU device's memory is the host's.
  static std::span<float> floats(const std::optional<DeviceBuffer>& buffer) {
    return {static_cast<float*>(buffer->data()), buffer->size() / sizeof(float)};
  }

  Result<Kernel> kernel(std::string_view name, const Specialization::NamedText& values) {
    FMS_TRY(auto kernel_template, KernelTemplate::embedded(name));
    FMS_TRY(const auto specialization, Specialization::parse(std::move(kernel_template), values));
    return jit_.get(specialization, device_);
  }

  // Ours and the floor in turns, after one of each that counts for nothing.
  Result<BenchRow> against_floor(const char* what, const std::function<Result<void>()>& ours,
                                 const std::function<void()>& floor) {
    std::vector<double> our_ms, floor_ms;
    const int rounds = setup_.quick ? 2 : 21;
    for (int round = -1; round < rounds; ++round) {
      const auto start = Clock::now();
      FMS_TRY_VOID(ours());
      const double taken = seconds_since(start) * 1e3;
      const double plain = ms_of(floor);
      if (round < 0) continue;
      our_ms.push_back(taken);
      floor_ms.push_back(plain);
    }
    return BenchRow{
        .what = what,
        .unit = "ms",
        .measured = median(std::move(our_ms)),
        .floor = median(std::move(floor_ms)),
        .against = BenchRow::Against::kRatio,
        .limit = 1.5,
        .note = fmt::format("floor: a plain C++ loop at -O3 on each of {} cores; medians "
                            "of {}, taking turns",
                            std::max(1u, std::thread::hardware_concurrency()), rounds)};
  }

  Result<BenchRow> saxpy() {
    constexpr std::uint32_t kBlock = 256;
    FMS_TRY(const Kernel saxpy, kernel("saxpy", {{"kN", fmt::format("{}", kArea)}}));
    const LaunchConfig config{.grid = {kArea / kBlock}, .block = {kBlock}};
    const int count = int{kArea};
    return against_floor(
        kSaxpyRow, [&] { return launch({}, config, saxpy, x_->data(), y_->data(), 0.5f, count); },
        [&] {
          on_all_cores(kArea, [&](std::size_t first, std::size_t last) {
            plain_saxpy(0.5f, floats(x_).data(), floats(y_).data(), first, last);
          });
        });
  }

  Result<BenchRow> transpose() {
    constexpr std::uint32_t kTile = 32;
    FMS_TRY(const Kernel transpose, kernel("transpose", {}));
    const LaunchConfig config{.grid = {kSize / kTile, kSize / kTile}, .block = {kTile, 8}};
    return against_floor(
        kTransposeRow,
        [&] { return launch({}, config, transpose, x_->data(), y_->data(), kSize, kSize); },
        [&] {
          on_all_cores(kSize, [&](std::size_t first, std::size_t last) {
            plain_transpose(floats(x_).data(), floats(y_).data(), kSize, first, last);
          });
        });
  }

  Result<BenchRow> attention() {
    const attention::Problem problem = attention_problem();
    const std::size_t count = std::size_t(problem.heads) * problem.seq_q * problem.head_dim;
    const attention::Arguments arguments = arguments_of(problem, floats(x_).data(), y_->data());
    std::vector<double> times;
    for (int round = -1; round < (setup_.quick ? 1 : 11); ++round) {
      const auto start = Clock::now();
      FMS_TRY_VOID(attention::forward(jit_, device_, {}, problem, arguments));
      if (round >= 0) times.push_back(seconds_since(start) * 1e3);
    }
    const double ms = median(std::move(times));
    const double flops = 4.0 * double(count) * double(problem.seq_k);
    return BenchRow{.what = kAttentionRow,
                    .unit = "ms",
                    .measured = ms,
                    .note = fmt::format("{:.1f} GFLOP/s on {} cores; its peer is PyTorch: "
                                        "tests/cpu/attention_vs_torch.py",
                                        flops / ms / 1e6, device_->info().sm_count)};
  }

  Result<BenchRow> compile() {
    FMS_TRY(const attention::Plan plan, attention::plan(attention_problem(), device_->info()));
    FMS_TRY(const auto compiler, jit_.compiler(Target::Kind::kCpu));
    FMS_TRY(const CompileRequest request, jit_.request(plan.specialization, device_->target()));
    std::vector<double> times;
    for (int round = 0; round < (setup_.quick ? 1 : 7); ++round) {
      FMS_TRY(const ObjectCode object, compiler->compile(request));
      times.push_back(object.compile_ms);
    }
    return BenchRow{.what = kCompileRow,
                    .unit = "ms",
                    .measured = median(std::move(times)),
                    .limit = 2000,
                    .note = "clang, LLVM and our passes, on one core"};
  }

  Result<std::vector<BenchRow>> start() {
    FMS_TRY(const attention::Plan plan, attention::plan(small_problem(), device_->info()));
    FMS_TRY(const Built built, jit_.build(plan.specialization, device_->target()));
    std::vector<double> open, load;
    for (int i = 0; i < (setup_.quick ? 2 : 15); ++i) {
      FMS_TRY(ChildProcess child,
              ChildProcess::start({own_path(), "bench-child", "--mode", "cpu", "--cache-dir",
                                   jit_.options().cache_dirs.front().string()}));
      child.close_input();
      const std::string text = child.read_output();
      const ExitStatus status = child.wait();
      const json answer = json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!status.ok() || !answer.is_object()) {
        return fail(
            ErrorCode::kInternal,
            fmt::format("can't measure a new process: it ended with {}", to_string(status)));
      }
      open.push_back(answer.value("open_ms", 0.0));
      load.push_back(answer.value("load_ms", 0.0));
    }
    return std::vector{
        BenchRow{.what = kOpenRow,
                 .unit = "ms",
                 .measured = median(std::move(open)),
                 .limit = 150,
                 .note = "dlopen of libfms_llvm.so, libclang-cpp and libLLVM"},
        BenchRow{
            .what = kLoadRow,
            .unit = "ms",
            .measured = median(std::move(load)),
            .limit = 5,
            .note = fmt::format("planned, found, checked and linked: {} bytes of code; one block",
                                built.object.bytes.size())}};
  }

  const BenchSetup& setup_;
  std::shared_ptr<Device> device_;
  Jit jit_;
  std::optional<DeviceBuffer> x_, y_;
};

}  // namespace

Result<std::vector<BenchRow>> bench_cpu(const BenchSetup& setup) {
  auto device = Device::cpu();
  if (!device) {
    std::vector<BenchRow> rows;
    for (const char* what :
         {kSaxpyRow, kTransposeRow, kAttentionRow, kCompileRow, kOpenRow, kLoadRow}) {
      rows.push_back(skipped_row(what, "needs the LLVM library"));
    }
    return rows;
  }
  FMS_TRY(CpuBench bench, CpuBench::make(setup, *std::move(device)));
  return bench.run();
}

Result<json> measure_cpu_child(JitOptions options) {
  options.policy = Policy::kExact;
  options.offline = true;
  const auto start = Clock::now();
  FMS_TRY_VOID(open_llvm(options.llvm));
  const double open_ms = seconds_since(start) * 1e3;
  FMS_TRY(const auto device, Device::cpu());
  FMS_TRY(Jit jit, Jit::create(std::move(options)));
  const attention::Problem problem = small_problem();
  const std::size_t count = std::size_t(problem.seq_q) * problem.head_dim;
  FMS_TRY(const DeviceBuffer buffer, DeviceBuffer::allocate(device, 4 * count * sizeof(float)));
  auto* data = static_cast<float*>(buffer.data());
  std::fill_n(data, 4 * count, 1.0f);
  const auto before_load = Clock::now();
  FMS_TRY_VOID(
      attention::forward(jit, device, {}, problem, arguments_of(problem, data, data + 3 * count)));
  return json{{"open_ms", open_ms}, {"load_ms", seconds_since(before_load) * 1e3}};
}

}  // namespace fms::program
