#include "runtime/cpu/wait_report.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "runtime/cpu/failure.h"
#include "runtime/cpu/warp_operation.h"

namespace fms::cpu {
namespace {

struct Waiting {
  std::uint32_t count = 0;
  std::uint32_t first_thread = 0;
};

std::string place_of(const State& state) {
  return state.file ? fmt::format("{}:{}", state.file, state.line) : "an unknown line";
}

// "__shfl_sync with mask 0x0000ffff"
std::string what_of(const State& state, std::uint32_t mask) {
  const std::string_view name = name_of(state.wait, state.operation);
  return state.wait == Wait::kWarp ? fmt::format("{} with mask 0x{:08x}", name, mask)
                                   : std::string(name);
}

}  // namespace

std::string describe_deadlock(const BlockRun& run, std::span<const WarpRunner> warps) {
  // By state and, of a warp's operation, mask.
  std::map<std::tuple<std::uint32_t, std::uint32_t>, Waiting> groups;
  for (const WarpRunner& warp : warps) {
    for (Lanes lane(warp.live()); lane; ++lane) {
      const std::uint32_t state = warp.state_of(*lane);
      const bool has_mask = run.kernel->states[state].wait == Wait::kWarp;
      Waiting& group = groups[{state, has_mask ? warp.warp().mask[*lane] : 0}];
      if (group.count++ == 0) group.first_thread = warp.warp().first_thread + *lane;
    }
  }
  std::string list;
  for (const auto& [key, group] : groups) {
    const auto& [number, mask] = key;
    const State& state = run.kernel->states[number];
    list += fmt::format("{}{} {}at {} ({}; the first is {})", list.empty() ? "" : ", ", group.count,
                        !list.empty()      ? ""
                        : group.count == 1 ? "thread waits "
                                           : "threads wait ",
                        place_of(state), what_of(state, mask),
                        thread_text(run.block, group.first_thread));
  }
  return fmt::format("block {}: {}: {}", to_text(run.block.block_index), list,
                     groups.size() > 1 ? "they never meet" : "those they wait for never come");
}

std::string describe_bad_mask(const BlockRun& run, const WarpRunner& warp) {
  const std::uint32_t lane = warp.bad_lane();
  const State& state = run.kernel->states[warp.state_of(lane)];
  return fmt::format("block {}, thread {}: {} at {}, which lacks the thread's own lane {}",
                     to_text(run.block.block_index),
                     thread_text(run.block, warp.warp().first_thread + lane),
                     what_of(state, warp.warp().mask[lane]), place_of(state), lane);
}

}  // namespace fms::cpu
