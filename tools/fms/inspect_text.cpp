#include "tools/fms/inspect_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tools/fms/figures.h"
#include "tools/fms/inspect_targets_text.h"

namespace fms::program {
namespace {

std::string to_string(const Dim3& extent) {
  if (extent.z > 1) return fmt::format("{},{},{}", extent.x, extent.y, extent.z);
  if (extent.y > 1) return fmt::format("{},{}", extent.x, extent.y);
  return fmt::format("{}", extent.x);
}

std::string launch_line(const Inspection& found) {
  std::string line;
  const auto add = [&line](const std::string& part) {
    line += fmt::format("{}{}", line.empty() ? "" : ", ", part);
  };
  if (found.launch.grid) add(fmt::format("grid {}", to_string(*found.launch.grid)));
  if (found.launch.block) {
    add(fmt::format("block {}", to_string(*found.launch.block)));
  } else if (const auto threads = found.threads()) {
    add(fmt::format("block of {} threads, by its launch bounds", *threads));
  } else {
    add("block not known: add --block");
  }
  if (found.launch.dynamic_smem_bytes > 0) {
    add(fmt::format("{} bytes of dynamic shared memory", found.launch.dynamic_smem_bytes));
  }
  return line;
}

// Always there are what most kernels are judged by; the others if there are any.
std::string counts_text(const Inspection& found) {
  std::vector<std::string> titles{"Counted in the IR", "thread"};
  std::vector<OperationCounts> columns{found.profile->thread};
  if (const auto block = found.block_counts()) {
    titles.emplace_back("block");
    columns.push_back(*block);
  }
  if (const auto launch = found.launch_counts()) {
    titles.emplace_back("launch");
    columns.push_back(*launch);
  }
  Figures table(std::move(titles));
  const auto add = [&](const std::string& what, const auto& count, bool always = false) {
    if (count(columns.front()) == 0 && !always) return;
    std::vector<std::string> row{"  " + what};
    for (const OperationCounts& column : columns) row.push_back(format_count(count(column)));
    table.add(std::move(row));
  };
  using Counts = OperationCounts;
  const bool no_flops = columns.front().flops() == 0;
  add(
      "flops, fp32", [](const Counts& all) { return all.flops32; }, no_flops);
  add("flops, fp64", [](const Counts& all) { return all.flops64; });
  add("flops, 16 bits", [](const Counts& all) { return all.flops16; });
  add("special functions", [](const Counts& all) { return all.special; });
  add("integer operations", [](const Counts& all) { return all.integer; });
  for (std::size_t i = 0; i < kMemorySpaces; ++i) {
    const bool global = static_cast<MemorySpace>(i) == MemorySpace::kGlobal;
    const std::string_view space = fms::to_string(static_cast<MemorySpace>(i));
    add(
        fmt::format("{} bytes loaded", space),
        [i](const Counts& all) { return all.loaded_bytes[i]; }, global);
    add(
        fmt::format("{} bytes stored", space),
        [i](const Counts& all) { return all.stored_bytes[i]; }, global);
  }
  add("atomics", [](const Counts& all) { return all.atomics; });
  add(
      "barriers", [](const Counts& all) { return all.barriers; }, true);
  add("warp operations", [](const Counts& all) { return all.warp_operations; });
  add(
      "branches", [](const Counts& all) { return all.branches; }, true);
  return table.text();
}

std::string loops_text(const KernelProfile& profile, double assumed_trips) {
  if (profile.loops.empty()) return "Loops\n  none\n";
  Figures table({"Loops", "trips"});
  for (const LoopProfile& loop : profile.loops) {
    const std::string indent(2 * static_cast<std::size_t>(std::max(loop.depth, 1)), ' ');
    const std::string place =
        loop.file.empty() ? "place not known" : fmt::format("{}:{}", loop.file, loop.line);
    table.add({indent + place, format_count(loop.trips) + (loop.known ? "" : " assumed")});
  }
  std::string text = table.text();
  if (!profile.all_known()) {
    text += wrap(fmt::format("How long some loops run, arguments decide: {} rounds are assumed, "
                             "--assume-trips changes that.",
                             format_count(assumed_trips)),
                 2);
  }
  return text;
}

std::string roof_name(const Roof& roof) {
  return roof.measured ? fmt::format("{} {}, measured", roof.device, roof.precision) : "given";
}

std::string format_seconds(double seconds) {
  if (seconds < 1e-6) return fmt::format("{:.3g} ns", seconds * 1e9);
  if (seconds < 1e-3) return fmt::format("{:.3g} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return fmt::format("{:.3g} s", seconds);
}

std::vector<std::string> roof_row(const Inspection& found, const Roof& roof) {
  std::vector<std::string> row{"  " + roof_name(roof)};
  row.push_back(roof.peak_flops ? format_rate(*roof.peak_flops, "FLOP/s") : "?");
  row.push_back(roof.bytes_a_second ? format_rate(*roof.bytes_a_second, "B/s") : "?");
  const auto bound = found.profile ? bound_of(roof, work_of(found.profile->thread)) : std::nullopt;
  if (roof.peak_flops && roof.bytes_a_second) {
    row.push_back(fmt::format("{:.3g}", *roof.peak_flops / *roof.bytes_a_second));
  } else {
    row.emplace_back("?");
  }
  row.push_back(bound ? std::string(to_string(bound->by)) : "?");
  row.push_back(bound ? format_rate(bound->attainable_flops, "FLOP/s") : "?");
  if (const auto work = found.work()) {
    const auto seconds = lowest_seconds(roof, *work);
    row.push_back(seconds ? format_seconds(*seconds) : "?");
  } else {
    row.emplace_back("?");
  }
  return row;
}

std::string intensity_text(const Work& work) {
  if (const auto intensity = work.intensity()) {
    return fmt::format("  {:.4g} flops for each byte of global memory\n", *intensity);
  }
  return "  no global memory is accessed\n";
}

// What is missing for whole lines of the table.
std::string roof_hint(const Inspection& found) {
  if (found.roofs.empty()) {
    return "Which roof bounds it isn't known: add --peak-flops and --bandwidth, or --measure.";
  }
  const auto half = [](const Result<Roof>& roof) {
    return roof && (!roof->peak_flops || !roof->bytes_a_second);
  };
  if (std::ranges::any_of(found.roofs, half)) {
    return "A roof is known when --peak-flops and --bandwidth are both there.";
  }
  if (found.profile && !found.work()) {
    return "The time of a launch is known when --grid is there, and --block where the kernel has "
           "no launch bounds.";
  }
  return "";
}

std::string roofline_text(const Inspection& found) {
  std::string text = "Arithmetic intensity\n";
  if (found.profile) text += intensity_text(work_of(found.profile->thread));
  Figures table({"  roof", "peak", "bandwidth", "ridge", "bound by", "attainable", "lowest time"});
  std::string missing;
  for (const Result<Roof>& roof : found.roofs) {
    if (roof) {
      table.add(roof_row(found, *roof));
    } else {
      missing += wrap(fmt::format("not measured: {}", roof.error().message), 2);
    }
  }
  if (table.size() > 0) text += table.text();
  text += missing;
  if (const std::string hint = roof_hint(found); !hint.empty()) text += wrap(hint, 2);
  return text;
}

}  // namespace

std::string to_text(const Inspection& found) {
  std::string text = wrap(found.specialization, 0) + launch_line(found) + "\n\n";
  if (found.profile) {
    text += counts_text(found) + '\n';
    text += loops_text(*found.profile, found.launch.assumed_trips) + '\n';
  } else {
    text += "Counted in the IR\n";
    text += wrap(fmt::format("not available: {}", found.profile.error().message), 2) + '\n';
  }
  return text + roofline_text(found) + '\n' + targets_text(found);
}

}  // namespace fms::program
