// What fms tune says without measuring.

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "tools/fms/cache.h"
#include "tools/fms/figures.h"
#include "tools/fms/table.h"
#include "tools/fms/tune.h"

namespace fms::program {
namespace {

using nlohmann::json;

// As a device with no name: what most of an architecture have.
constexpr int kCommonSms = 132;

std::string date_of(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

json to_json(const Tuning& tuning) {
  return {{"template", tuning.template_name},
          {"template_digest", tuning.template_digest},
          {"target", tuning.target},
          {"device", tuning.device},
          {"compiler", tuning.compiler},
          {"class", tuning.problem},
          {"tile", tuning.choice},
          {"created", tuning.created},
          {"evidence", json::parse(tuning.evidence, nullptr, false)}};
}

void print_json(const json& object) {
  fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
}

// Where candidates are to run.
struct Place {
  attention::Room room;
  int sm_count = kCommonSms;
};

Result<Place> place_of(const TuneCommand& command) {
  if (!command.target.empty()) {
    FMS_TRY(const Target target, Target::parse(command.target));
    return Place{.room = attention::room_of(target)};
  }
  FMS_TRY(const JitOptions options, jit_options(command.common));
  FMS_TRY(const auto device, choose_device(command.device, options));
  return Place{.room = attention::room_of(device->info()), .sm_count = device->info().sm_count};
}

}  // namespace

Result<int> tune_list(const TuneCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  json list = json::array();
  Table table({"device", "class", "tile", "x", "date"});
  for (const OpenTier& tier : tiers) {
    FMS_TRY(const std::vector<Tuning> tunings, tier.store->tunings());
    for (const Tuning& tuning : tunings) {
      list.push_back(to_json(tuning));
      list.back()["tier"] = tier.store->path().string();
      const json& evidence = list.back()["evidence"];
      const double speedup = evidence.is_object() ? evidence.value("speedup", 1.0) : 1.0;
      table.add({tuning.device, tuning.template_name + ": " + tuning.problem, tuning.choice,
                 fmt::format("{:.3f}", speedup), date_of(tuning.created)});
    }
  }
  if (command.common.json) {
    print_json(list);
  } else if (table.rows() > 0) {
    fmt::print("{}", table.text());
  } else {
    fmt::print("nothing is tuned\n");
  }
  return kOk;
}

Result<int> tune_clear(const TuneCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  KernelStore& store = *tiers.front().store;
  std::string device;
  if (!command.device.empty()) {
    FMS_TRY(const JitOptions options, jit_options(command.common));
    FMS_TRY(const auto opened, choose_device(command.device, options));
    device = tuned_device(opened->info());
  }
  if (!command.yes && ::isatty(STDIN_FILENO) == 1) {
    fmt::print(stderr, "Forget all that was tuned{} in {}? [y/N] ",
               device.empty() ? "" : " on " + device, store.path().string());
    char answer[8] = {};
    const bool read = std::fgets(answer, sizeof(answer), stdin) != nullptr;
    if (!read || (answer[0] != 'y' && answer[0] != 'Y')) {
      return fail(ErrorCode::kInvalidArgument, "can't clear: not confirmed; add --yes");
    }
  }
  FMS_TRY(const std::int64_t removed, store.remove_tunings([&](const Tuning& tuning) {
    return device.empty() || tuning.device == device;
  }));
  if (command.common.json) {
    print_json({{"removed", removed}});
  } else {
    fmt::print("{} removed\n", removed);
  }
  return kOk;
}

Result<int> tune_candidates(const TuneCommand& command) {
  FMS_TRY(const Place place, place_of(command));
  FMS_TRY(const std::vector<TuneGroup> groups, tune_groups(command.manifest, place.room));
  json list = json::array();
  for (const TuneGroup& group : groups) {
    Figures table({"tile", "smem", "registers", "waves", "cost", "pruned"});
    std::size_t worth = 0;
    json tiles = json::array();
    for (const attention::Candidate& each : attention::candidates(
             group.problems.front(), place.room, attention::Access::kBulk, place.sm_count)) {
      tiles.push_back({{"tile", each.tile},
                       {"smem_bytes", each.smem_bytes},
                       {"registers", each.registers},
                       {"waves", each.waves},
                       {"cost", each.cost},
                       {"pruned", each.pruned}});
      if (each.pruned.empty()) ++worth;
      if (!each.pruned.empty() && !command.common.verbose) continue;
      table.add({each.tile, with_commas(static_cast<double>(each.smem_bytes)),
                 std::to_string(each.registers), fmt::format("{:.2f}", each.waves),
                 fmt::format("{:.4g}", each.cost), each.pruned});
    }
    if (!command.common.json) {
      fmt::print("{}: {} of {} tiles are worth a compile{}\n{}", group.tile_class, worth,
                 tiles.size(), command.common.verbose ? "" : " (all with -v)", table.text());
    }
    list.push_back({{"class", group.tile_class}, {"candidates", std::move(tiles)}});
  }
  if (command.common.json) print_json(list);
  return kOk;
}

}  // namespace fms::program
