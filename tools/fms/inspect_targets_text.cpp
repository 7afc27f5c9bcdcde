#include "tools/fms/inspect_targets_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

#include "tools/fms/figures.h"

namespace fms::program {
namespace {

constexpr const char* kNothing = "-";
constexpr std::size_t kMostBeside = 4;  // as fit in 100 columns

using Cell = std::function<std::string(const InspectedTarget&)>;
struct TargetRow {
  std::string title;
  Cell cell;
};

Cell of_gpu(const Cell& cell) {
  return [cell](const InspectedTarget& one) { return one.is_cpu() ? kNothing : cell(one); };
}
Cell of_cpu(const Cell& cell) {
  return [cell](const InspectedTarget& one) { return one.is_cpu() ? cell(one) : kNothing; };
}
Cell of_resources(std::string (*cell)(const Resources&)) {
  return [cell](const InspectedTarget& one) { return cell(one.built->object.resources); };
}
Cell of_occupancy(std::string (*cell)(const Occupancy&)) {
  return of_gpu([cell](const InspectedTarget& one) -> std::string {
    return one.occupancy ? cell(*one.occupancy) : "?";
  });
}

std::string limits_text(const Occupancy& found) {
  std::string text;
  for (const OccupancyLimit limit : found.limited_by) {
    // Columns are narrow; the JSON has it in full.
    const std::string_view name =
        limit == OccupancyLimit::kSharedMemory ? "smem" : to_string(limit);
    text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  }
  return text;
}

std::string parameters_text(const Resources& used) {
  if (used.parameters.empty()) return "0";
  return fmt::format("{}", used.parameters.back().offset + used.parameters.back().size);
}

std::vector<TargetRow> code_rows() {
  return {
      {"bytes of object code",
       [](const auto& one) { return with_commas(double(one.built->object.bytes.size())); }},
      {"registers a thread",
       of_gpu(of_resources([](const auto& used) { return fmt::format("{}", used.registers); }))},
      {"bytes spilled, stores + loads", of_gpu(of_resources([](const auto& used) {
         return fmt::format("{} + {}", used.spill_stores, used.spill_loads);
       }))},
      {"stack or frame bytes a thread",
       of_resources([](const auto& used) { return with_commas(used.stack_bytes); })},
      {"static shared memory",
       of_resources([](const auto& used) { return with_commas(used.static_smem_bytes); })},
      {"constant memory", of_gpu([](const auto& one) { return with_commas(one.constant_bytes); })},
      {"bytes of parameters", of_resources(parameters_text)},
      {"threads of a block at most", of_resources([](const auto& used) {
         return used.max_threads > 0 ? fmt::format("{}", used.max_threads)
                                     : std::string("not said");
       })},
      {"blocks on an SM",
       of_occupancy([](const auto& found) { return fmt::format("{}", found.blocks); })},
      {"warps on an SM", of_occupancy([](const auto& found) {
         return fmt::format("{} of {}", found.warps, found.max_warps);
       })},
      {"occupancy",
       of_occupancy([](const auto& found) { return fmt::format("{:.0f}%", 100 * found.share()); })},
      {"limited by", of_occupancy(limits_text)},
      {"regions", of_cpu([](const auto& one) -> std::string {
         return one.cpu_code ? fmt::format("{}", one.cpu_code->regions) : "?";
       })},
      {"bits of its vectors", of_cpu([](const auto& one) -> std::string {
         if (!one.cpu_code) return "?";
         return one.cpu_code->vector_bits > 0 ? fmt::format("{}", one.cpu_code->vector_bits)
                                              : "none";
       })},
  };
}

std::vector<TargetRow> sass_rows(const std::vector<const InspectedTarget*>& targets) {
  std::vector<TargetRow> rows;
  for (std::size_t i = 0; i < kSassClasses; ++i) {
    const auto has = [i](const InspectedTarget* one) { return one->sass && one->sass->counts[i]; };
    if (std::ranges::none_of(targets, has)) continue;
    rows.push_back({"  " + std::string(description(static_cast<SassClass>(i))),
                    of_gpu([i](const InspectedTarget& one) -> std::string {
                      return one.sass ? with_commas(one.sass->counts[i]) : "?";
                    })});
  }
  if (!rows.empty()) {
    rows.insert(rows.begin(), {"SASS instructions", of_gpu([](const auto& one) -> std::string {
                                 return one.sass ? with_commas(one.sass->total()) : "?";
                               })});
  }
  return rows;
}

std::string target_table(const std::vector<const InspectedTarget*>& targets) {
  std::vector<std::string> titles{"Object code"};
  for (const InspectedTarget* one : targets) titles.push_back(one->target.to_string());
  Figures table(std::move(titles));
  std::vector<TargetRow> rows = code_rows();
  std::ranges::move(sass_rows(targets), std::back_inserter(rows));
  for (const TargetRow& row : rows) {
    std::vector<std::string> cells{"  " + row.title};
    for (const InspectedTarget* one : targets) cells.push_back(row.cell(*one));
    const auto nothing = [](const std::string& cell) { return cell == kNothing; };
    if (std::all_of(cells.begin() + 1, cells.end(), nothing)) continue;
    table.add(std::move(cells));
  }
  return table.text();
}

std::string target_notes(const Inspection& found) {
  std::string text;
  const auto note = [&text](const InspectedTarget& one, std::string_view what, const auto& part) {
    if (part) return;
    text += wrap(fmt::format("{}: {}{}", one.target.to_string(), what, part.error().message), 2);
  };
  for (const InspectedTarget& one : found.targets) {
    note(one, "", one.built);
    if (!one.built) continue;
    if (one.is_cpu()) {
      note(one, "regions and vectors aren't known: ", one.cpu_code);
    } else {
      note(one, "occupancy isn't known: ", one.occupancy);
      note(one, "", one.sass);
    }
  }
  return text;
}

}  // namespace

std::string targets_text(const Inspection& found) {
  std::string text;
  std::vector<const InspectedTarget*> shown;
  const auto flush = [&] {
    if (!shown.empty()) text += (text.empty() ? "" : "\n") + target_table(shown);
    shown.clear();
  };
  for (const InspectedTarget& one : found.targets) {
    if (!one.built) continue;
    shown.push_back(&one);
    if (shown.size() == kMostBeside) flush();
  }
  flush();
  if (text.empty()) text = "Object code\n";
  return text + target_notes(found);
}

}  // namespace fms::program
