#pragma once

#include <string>
#include <vector>

#include "runtime/ops/attention_tuning.h"
#include "tools/fms/command.h"

namespace fms::program {

struct TuneCommand {
  CommonOptions common;
  std::string manifest;  // a file, a name, or one line itself
  std::string device, target;
  double seconds = 60;
  int jobs = 0;
  std::size_t most = 0;
  std::vector<std::string> without;
  bool again = false, candidates = false, list = false, clear = false, yes = false;
};

// What of a manifest is tuned together, since it shares a tile.
struct TuneGroup {
  std::string tile_class;
  std::vector<attention::Problem> problems;
};

// The attention entries of a manifest, each problem once, in its order. Those with no queries or no
// keys are left out, and those with functions of the user's or a block table.
Result<std::vector<TuneGroup>> tune_groups(const std::string& manifest,
                                           const attention::Room& room);

// Each gives the exit code.
Result<int> tune_list(const TuneCommand& command);
Result<int> tune_clear(const TuneCommand& command);
Result<int> tune_candidates(const TuneCommand& command);

}  // namespace fms::program
