#include "tools/fms/bench.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "compiler/nvrtc_compiler.h"
#include "tools/fms/file.h"
#include "tools/fms/table.h"
#include "tools/fms/version.h"

namespace fms::program {
namespace {

using nlohmann::json;

struct BenchCommand {
  CommonOptions common;
  std::string json_file, markdown_file, target;
  std::vector<std::string> only;
  bool quick = false;
};

struct BenchGroup {
  const char* name;
  Result<std::vector<BenchRow>> (*measure)(const BenchSetup&);
};

constexpr BenchGroup kGroups[] = {{"launch", bench_launch},
                                  {"store", bench_store},
                                  {"compile", bench_compile},
                                  {"processes", bench_processes},
                                  {"cpu", bench_cpu}};

// Where and with what it was measured.
struct Circumstances {
  std::string card = "no GPU", driver = "none", nvrtc = "none", processor, target, date;
};

struct BenchReport {
  Circumstances circumstances;
  std::vector<BenchRow> rows;
};

std::string number(double value) {
  if (value == static_cast<double>(static_cast<long long>(value))) return fmt::format("{}", value);
  return fmt::format("{:.{}f}", value, value < 10 ? 3 : 1);
}

std::string limit_text(const BenchRow& row) {
  if (!row.limit) return "-";
  const std::string limit = number(*row.limit);
  switch (row.against) {
    case BenchRow::Against::kRatio:
      return limit + " x";
    case BenchRow::Against::kDifference:
      return fmt::format("+{} {}", limit, row.unit);
    case BenchRow::Against::kValue:
      break;
  }
  return row.unit.empty() ? limit : limit + ' ' + row.unit;
}

std::string compared_text(const BenchRow& row) {
  if (row.against == BenchRow::Against::kRatio) return fmt::format("{:.3f} x", row.compared());
  if (row.against == BenchRow::Against::kDifference) {
    return fmt::format("+{:.2f} {}", row.compared(), row.unit);
  }
  return "-";
}

std::string verdict(const BenchRow& row) {
  if (row.skipped) return row.note;
  if (!row.limit) return "";
  return row.ok() ? "ok" : "OVER";
}

Table table_of(const std::vector<BenchRow>& rows) {
  Table table({"what", "measured", "floor", "ratio", "limit", "ok"});
  for (const BenchRow& row : rows) {
    if (row.skipped) {
      table.add({row.what, "-", "-", "-", "-", verdict(row)});
      continue;
    }
    const std::string unit = row.unit.empty() ? "" : ' ' + row.unit;
    table.add({row.what, number(row.measured) + unit, row.floor ? number(*row.floor) + unit : "-",
               compared_text(row), limit_text(row), verdict(row)});
  }
  return table;
}

json to_json(const BenchReport& report) {
  json rows = json::array();
  for (const BenchRow& row : report.rows) {
    json one{{"what", row.what}, {"skipped", row.skipped}, {"note", row.note}};
    if (!row.skipped) {
      one.update({{"unit", row.unit}, {"measured", row.measured}, {"ok", row.ok()}});
      one["floor"] = row.floor ? json(*row.floor) : json();
      one["limit"] = row.limit ? json(*row.limit) : json();
      one["compared"] = row.compared();
    }
    rows.push_back(std::move(one));
  }
  const Circumstances& around = report.circumstances;
  return {{"card", around.card},     {"driver", around.driver},
          {"nvrtc", around.nvrtc},   {"processor", around.processor},
          {"target", around.target}, {"date", around.date},
          {"commit", commit()},      {"version", version()},
          {"rows", std::move(rows)}};
}

std::string heading(const Circumstances& around) {
  return fmt::format("{}, driver {}, NVRTC {}, {}; {}; {}, {}", around.card, around.driver,
                     around.nvrtc, around.target, around.processor, around.date, version_line());
}

std::string to_markdown(const BenchReport& report) {
  std::string text = fmt::format("# Speed\n\nWritten by `fms bench`. {}.\n\n{}\n",
                                 heading(report.circumstances), table_of(report.rows).markdown());
  for (const BenchRow& row : report.rows) {
    if (!row.skipped && !row.note.empty()) text += fmt::format("- {}: {}\n", row.what, row.note);
  }
  return text;
}

Result<Circumstances> circumstances(const BenchSetup& setup) {
  Circumstances around{.target = setup.target.to_string()};
  if (const auto toolkit = find_toolkit(setup.options.toolkit)) {
    FMS_TRY(const auto compiler, open_compiler(*toolkit));
    const auto [major, minor] = compiler->version();
    around.nvrtc = fmt::format("{}.{}", major, minor);
  }
  around.processor = "CPU targets: none";
  if (const auto device = Device::cpu()) {
    around.processor = fmt::format("{} ({}, {} cores)", (*device)->info().name,
                                   (*device)->target().to_string(), (*device)->info().sm_count);
  }
  if (setup.device) {
    const DeviceInfo& info = setup.device->info();
    around.card = info.name;
    around.driver =
        fmt::format("{}.{}", info.driver_version / 1000, info.driver_version % 1000 / 10);
  }
  around.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  return around;
}

bool chosen(const BenchCommand& command, std::string_view group) {
  return command.only.empty() || std::ranges::find(command.only, group) != command.only.end();
}

Result<BenchReport> measure(const BenchCommand& command) {
  FMS_TRY(JitOptions options, jit_options(command.common));
  if (options.cache_dirs.empty()) {
    return fail(ErrorCode::kInvalidArgument, "there is no folder for a store; give --cache-dir");
  }
  // Beside the store's file and not in it: the bench fills and empties stores of its own.
  FMS_TRY(const ScratchFolder scratch, ScratchFolder::make(options.cache_dirs.front()));
  BenchSetup setup{.scratch = scratch.path(), .options = options, .quick = command.quick};
  // What a user may have set for his own work would change what is measured.
  setup.options.offline = false;
  setup.options.record.clear();
  setup.options.dump_dir.clear();
  if (auto device = Device::open()) setup.device = *std::move(device);
  setup.target = {.arch = "sm_90a"};
  if (!command.target.empty() || options.target || setup.device) {
    FMS_TRY(setup.target, choose_target(command.target, options));
  }
  if (setup.target.kind != Target::Kind::kCuda) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't measure {}: the floors are those of CUDA targets; add --target "
                            "sm_90a",
                            setup.target.to_string()));
  }
  BenchReport report;
  FMS_TRY(report.circumstances, circumstances(setup));
  for (const BenchGroup& group : kGroups) {
    if (!chosen(command, group.name)) continue;
    FMS_TRY(std::vector<BenchRow> rows, group.measure(setup));
    for (BenchRow& row : rows) report.rows.push_back(std::move(row));
  }
  return report;
}

Result<int> bench(const BenchCommand& command) {
  FMS_TRY(const BenchReport report, measure(command));
  if (!command.json_file.empty()) {
    FMS_TRY_VOID(write_file(command.json_file, to_json(report).dump(2) + '\n'));
  }
  if (!command.markdown_file.empty()) {
    FMS_TRY_VOID(write_file(command.markdown_file, to_markdown(report)));
  }
  fmt::print("{}\n\n{}", heading(report.circumstances), table_of(report.rows).text());
  return std::ranges::all_of(report.rows, &BenchRow::ok) ? kOk : kFalse;
}

}  // namespace

double BenchRow::compared() const {
  if (floor && against == Against::kRatio) return measured / *floor;
  if (floor && against == Against::kDifference) return measured - *floor;
  return measured;
}

bool BenchRow::ok() const { return skipped || !limit || compared() <= *limit; }

BenchRow skipped_row(std::string what, std::string why) {
  return {.what = std::move(what), .note = std::move(why), .skipped = true};
}

JitOptions BenchSetup::with_store(const std::string& name) const {
  JitOptions own = options;
  own.cache_dirs = {scratch / name};
  return own;
}

Result<ScratchFolder> ScratchFolder::make(const std::filesystem::path& parent) {
  std::error_code error;
  // A store refuses a folder that others may write, and only its owner needs this one.
  if (std::filesystem::create_directories(parent, error)) {
    std::filesystem::permissions(parent, std::filesystem::perms::owner_all, error);
  }
  std::string path = (parent / "bench-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return fail(ErrorCode::kIo, fmt::format("can't make a folder in {}: {}", parent.string(),
                                            std::strerror(errno)));
  }
  return ScratchFolder(path);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

void add_bench(CLI::App& program, int& exit_code) {
  add_bench_child(program, exit_code);
  auto command = std::make_shared<BenchCommand>();
  CLI::App* app = program.add_subcommand(
      "bench", "Measure the runtime, each figure against the floor measured beside it");
  app->footer(
      "Takes minutes, and 50 MB in the folder of the store, which it gives back. Without a GPU "
      "the\n"
      "lines that need one say so. Exit code 1 if a line is over its limit.\n\n"
      "Example:\n  fms bench --json bench.json --markdown docs/speed.md");
  add_common_options(*app, command->common, Json::kNo);
  app->add_option("--json", command->json_file, "write the figures here")->type_name("FILE");
  app->add_option("--markdown", command->markdown_file, "write the table here")->type_name("FILE");
  app->add_option("--target", command->target, "compile for this (default: the device, or sm_90a)")
      ->type_name("T");
  app->add_option("--only", command->only,
                  "launch, store, compile, processes or cpu; may be repeated")
      ->type_name("GROUP")
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"launch", "store", "compile", "processes", "cpu"}));
  app->add_flag("--quick", command->quick, "few repeats, to see that it works: no figures to keep");
  app->callback([command, &exit_code] {
    const Result<int> done = bench(*command);
    exit_code = done ? *done : report(command->common, "can't measure", done.error());
  });
}

}  // namespace fms::program
