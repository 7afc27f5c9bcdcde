#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/fms/bench.h"
#include "tools/fms/process.h"
#include "tools/fms/progress.h"
#include "tools/fms/timing.h"

namespace fms::program {
namespace {

using nlohmann::json;

constexpr const char* kStoreRow =
    "new process, store of 10,000 entries: open, find, check, load 100 KB";
constexpr const char* kJitRow = "the same through Jit::get (template parsed, key computed)";
constexpr std::size_t kSyntheticBytes = 4096;

Result<Specialization> large_kernel() {
  FMS_TRY(auto kernel_template, KernelTemplate::parse("bench_large.cu", kLargeTemplate));
  return Specialization::parse(std::move(kernel_template), {});
}

// Entries as a store collects them, but for their size: 4 KB each, so that the bench needs 40 MB of
// disk and not 1 GB. What a lookup reads is the index and one record, whatever the others hold.
Result<void> fill(KernelStore& store, const Target& target, int entries) {
  Progress progress("filling a store", static_cast<std::size_t>(entries));
  ObjectCode object{.target = target, .entry = "synthetic", .compiler = "synthetic 1.0"};
  object.bytes.resize(kSyntheticBytes);
  object.compile_ms = 300;
  for (int i = 0; i < entries; ++i) {
    const std::string name = fmt::format("synthetic<kSeed={}>", i);
    const Digest key = sha256(name);
    for (std::size_t b = 0; b < object.bytes.size(); ++b) {
      object.bytes[b] = std::byte{key.bytes[b % key.bytes.size()]};
    }
    const StoreRecord record{.template_name = "synthetic",
                             .specialization = name,
                             .key_fields = {{"entry", "synthetic"}, {"source", name}}};
    if (!store.put(key, object, record)) {
      return fail(ErrorCode::kIo, fmt::format("can't fill {}", store.path().string()));
    }
    progress.update(static_cast<std::size_t>(i));
  }
  return {};
}

struct ChildTimes {
  double driver_ms = 0, rest_ms = 0;
  double open_ms = 0, find_ms = 0, load_ms = 0;  // parts of rest_ms
};

Result<ChildTimes> run_child(const std::string& mode, const std::filesystem::path& folder,
                             const std::string& key) {
  FMS_TRY(ChildProcess child, ChildProcess::start({own_path(), "bench-child", "--cache-dir",
                                                   folder.string(), "--mode", mode, "--key", key}));
  child.close_input();
  const std::string text = child.read_output();
  const ExitStatus status = child.wait();
  const json answer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!status.ok() || !answer.is_object()) {
    return fail(ErrorCode::kInternal,
                fmt::format("can't measure a new process: it ended with {}", to_string(status)));
  }
  return ChildTimes{answer.value("driver_ms", 0.0), answer.value("rest_ms", 0.0),
                    answer.value("open_ms", 0.0), answer.value("find_ms", 0.0),
                    answer.value("load_ms", 0.0)};
}

Result<BenchRow> time_children(const BenchSetup& setup, const std::string& mode,
                               const std::filesystem::path& folder, const std::string& key) {
  std::vector<double> driver, rest, open, find, load;
  for (int i = 0; i < (setup.quick ? 2 : 15); ++i) {
    FMS_TRY(const ChildTimes times, run_child(mode, folder, key));
    driver.push_back(times.driver_ms);
    rest.push_back(times.rest_ms);
    open.push_back(times.open_ms);
    find.push_back(times.find_ms);
    load.push_back(times.load_ms);
  }
  const double start = median(std::move(driver));
  return BenchRow{.unit = "ms",
                  .measured = start + median(std::move(rest)),
                  .floor = start,
                  .against = BenchRow::Against::kDifference,
                  .note = fmt::format("open {:.2f}, find and check {:.2f}, load {:.2f} ms",
                                      median(std::move(open)), median(std::move(find)),
                                      median(std::move(load)))};
}

struct BenchChild {
  CommonOptions common;
  std::string mode, key;
};

Result<json> measure(const BenchChild& command) {
  FMS_TRY(JitOptions options, jit_options(command.common));
  if (command.mode == "cpu") return measure_cpu_child(std::move(options));
  const auto start = Clock::now();
  FMS_TRY(const auto device, Device::open());
  const double driver_ms = seconds_since(start) * 1e3;
  const auto after_driver = Clock::now();
  std::size_t bytes = 0;
  double open_ms = 0, find_ms = 0, load_ms = 0;
  if (command.mode == "jit") {
    FMS_TRY(Jit jit, Jit::create(std::move(options)));
    open_ms = seconds_since(after_driver) * 1e3;
    FMS_TRY(const Specialization specialization, large_kernel());
    FMS_TRY([[maybe_unused]] const Kernel kernel, jit.get(specialization, device));
    load_ms = jit.stats().load_us / 1e3;
    find_ms = seconds_since(after_driver) * 1e3 - open_ms - load_ms;
  } else {
    FMS_TRY(const auto store, KernelStore::open(options.cache_dirs.front()));
    open_ms = seconds_since(after_driver) * 1e3;
    FMS_TRY(const Digest key, Digest::from_hex(command.key));
    const auto found = store->find(key);
    if (!found || !std::holds_alternative<ObjectCode>(*found)) {
      return fail(ErrorCode::kNotFound, "the bench's own kernel isn't in the store");
    }
    const ObjectCode& object = std::get<ObjectCode>(*found);
    bytes = object.bytes.size();
    find_ms = seconds_since(after_driver) * 1e3 - open_ms;
    const auto before_load = Clock::now();
    FMS_TRY([[maybe_unused]] const Kernel kernel, Kernel::load(device, object));
    load_ms = seconds_since(before_load) * 1e3;
  }
  return json{{"driver_ms", driver_ms}, {"rest_ms", open_ms + find_ms + load_ms},
              {"open_ms", open_ms},     {"find_ms", find_ms},
              {"load_ms", load_ms},     {"bytes", bytes}};
}

}  // namespace

Result<std::vector<BenchRow>> bench_store(const BenchSetup& setup) {
  if (!setup.device) {
    return std::vector{skipped_row(kStoreRow, "needs a GPU"), skipped_row(kJitRow, "needs a GPU")};
  }
  JitOptions options = setup.with_store("large");
  const std::filesystem::path folder = options.cache_dirs.front();
  options.target.reset();
  const int entries = setup.quick ? 100 : 10'000;
  std::string key;
  std::size_t bytes = 0;
  {
    FMS_TRY(Jit jit, Jit::create(std::move(options)));
    if (jit.store() == nullptr) return fail(ErrorCode::kIo, "there is no store to measure");
    FMS_TRY_VOID(fill(*jit.store(), setup.target, entries));
    FMS_TRY(const Specialization specialization, large_kernel());
    FMS_TRY(const Built built, jit.build(specialization, setup.device->target()));
    key = built.key.hex();
    bytes = built.object.bytes.size();
  }
  FMS_TRY(BenchRow row, time_children(setup, "store", folder, key));
  row.what = kStoreRow;
  row.limit = 2.0;
  row.note = fmt::format("floor: cuInit and the context; a cubin of {} bytes among {} of {}; {}",
                         bytes, entries, kSyntheticBytes, row.note);
  FMS_TRY(BenchRow through_jit, time_children(setup, "jit", folder, key));
  through_jit.what = kJitRow;
  return std::vector{std::move(row), std::move(through_jit)};
}

void add_bench_child(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<BenchChild>();
  CLI::App* app = program.add_subcommand("bench-child", "The new process that fms bench measures");
  app->group("");  // hidden
  app->footer("Example:\n  fms bench-child --mode store --cache-dir DIR --key KEY");
  add_common_options(*app, command->common, Json::kNo);
  app->add_option("--mode", command->mode, "store, jit or cpu")->required();
  app->add_option("--key", command->key, "of the kernel to load");
  app->callback([command, &exit_code] {
    const auto measured = measure(*command);
    if (measured) fmt::print("{}\n", measured->dump());
    exit_code = measured ? kOk : report(command->common, "can't measure", measured.error());
  });
}

}  // namespace fms::program
