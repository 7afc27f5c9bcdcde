#include <fmt/format.h>

#include "compiler/nvrtc_library.h"
#include "runtime/ops/attention.h"
#include "tools/fms/bench.h"
#include "tools/fms/timing.h"

namespace fms::program {
namespace {

constexpr const char* kColdRow =
    "cold compile of an attention kernel, specialization to stored code";

// What anybody would write around NVRTC: create, compile, take the cubin. Our headers are in
// memory, as ours are; the toolkit's are found by an include path.
class BareNvrtc {
 public:
  static Result<BareNvrtc> open(Jit& jit) {
    FMS_TRY(const Toolkit toolkit, find_toolkit(jit.options().toolkit));
    FMS_TRY(NvrtcLibrary library, open_nvrtc(toolkit.library.string()));
    std::vector<std::string> options;
    for (const auto& folder : toolkit.include_folders) {
      options.push_back("--include-path=" + folder.string());
    }
    // NVRTC 12.9 and later keep compiles of their own: both sides do without.
    if (std::pair(library.major, library.minor) >= std::pair(12, 9)) {
      options.emplace_back("--no-cache");
    }
    return BareNvrtc(std::move(library), std::move(options));
  }

  Result<double> compile_ms(const CompileRequest& request) const {
    const auto start = Clock::now();
    std::vector<const char*> names, texts, options;
    for (const SourceFile& header : request.headers) {
      names.push_back(header.name.c_str());
      texts.push_back(header.text.c_str());
    }
    for (const std::string& option : request.options) options.push_back(option.c_str());
    for (const std::string& option : options_) options.push_back(option.c_str());
    const NvrtcFunctions& call = library_.functions;
    nvrtcProgram program = nullptr;
    FMS_TRY_VOID(
        check(call.create_program(&program, request.source.c_str(), "bare.cu",
                                  static_cast<int>(names.size()), texts.data(), names.data())));
    const nvrtcResult compiled =
        call.compile_program(program, static_cast<int>(options.size()), options.data());
    std::size_t size = 0;
    std::string cubin;
    nvrtcResult taken = compiled;
    if (taken == NVRTC_SUCCESS) taken = call.get_cubin_size(program, &size);
    if (taken == NVRTC_SUCCESS) {
      cubin.resize(size);
      taken = call.get_cubin(program, cubin.data());
    }
    call.destroy_program(&program);
    FMS_TRY_VOID(check(taken));
    return seconds_since(start) * 1e3;
  }

 private:
  BareNvrtc(NvrtcLibrary library, std::vector<std::string> options)
      : library_(std::move(library)), options_(std::move(options)) {}

  Result<void> check(nvrtcResult result) const {
    if (result == NVRTC_SUCCESS) return {};
    return fail(ErrorCode::kInternal,
                fmt::format("bare NVRTC says {}", library_.functions.get_error_string(result)));
  }

  NvrtcLibrary library_;
  std::vector<std::string> options_;
};

// The same kernel under a text that no cache has seen: its file ends with a constant of its own.
Result<Specialization> fresh_kernel(const Specialization& like, int number) {
  const KernelTemplate& original = like.kernel_template();
  const std::string text =
      fmt::format("{}\nnamespace bench {{\nconstexpr long long kFresh = {};\n}}\n", original.text(),
                  Clock::now().time_since_epoch().count() + number);
  FMS_TRY(auto fresh, KernelTemplate::parse("bench_fresh.cu", text, original.name()));
  Specialization::NamedText values;
  for (std::size_t i = 0; i < original.parameters().size(); ++i) {
    const Parameter& parameter = original.parameters()[i];
    values[parameter.name] = parameter.to_string(like.values()[i]);
  }
  return Specialization::parse(std::move(fresh), values);
}

}  // namespace

Result<std::vector<BenchRow>> bench_compile(const BenchSetup& setup) {
  FMS_TRY(Jit jit, Jit::create(setup.with_store("compile")));
  FMS_TRY(const BareNvrtc bare, BareNvrtc::open(jit));
  const attention::Problem problem{.batch = 1,
                                   .heads = 8,
                                   .kv_heads = 8,
                                   .seq_q = 1024,
                                   .seq_k = 1024,
                                   .mask = attention::Mask::kCausal};
  FMS_TRY(const attention::Plan plan, attention::plan(problem, setup.target));
  std::vector<double> ours, floor;
  const int rounds = setup.quick ? 2 : 15;
  for (int round = -1; round < rounds; ++round) {
    double times[2] = {};
    for (int turn = 0; turn < 2; ++turn) {
      FMS_TRY(const Specialization fresh, fresh_kernel(plan.specialization, turn));
      const int which = (turn + round) & 1;
      if (which == 0) {
        const auto start = Clock::now();
        FMS_TRY([[maybe_unused]] const Built built, jit.build(fresh, setup.target));
        times[0] = seconds_since(start) * 1e3;
      } else {
        FMS_TRY(const CompileRequest request, jit.request(fresh, setup.target));
        FMS_TRY(times[1], bare.compile_ms(request));
      }
    }
    if (round < 0) continue;  // the first pair opens the library and warms the allocator
    ours.push_back(times[0]);
    floor.push_back(times[1]);
  }
  return std::vector<BenchRow>{
      {.what = kColdRow,
       .unit = "ms",
       .measured = median(std::move(ours)),
       .floor = median(std::move(floor)),
       .against = BenchRow::Against::kRatio,
       .limit = 1.10,
       .note =
           fmt::format("floor: bare NVRTC on the same source, {} of each, taking turns", rounds)}};
}

}  // namespace fms::program
