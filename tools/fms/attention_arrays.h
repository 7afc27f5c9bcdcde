#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/fms/attention_run.h"
#include "tools/fms/command.h"
#include "tools/fms/npy.h"

namespace fms::program {

// The options of `fms attention`.
struct AttentionCommand {
  CommonOptions common;
  std::string q, k, v, out, lse;
  bool causal = false, causal_top_left = false, check = false;
  std::vector<int> window;  // left, right; empty: none
  float scale = 0, softcap = 0;
  std::string sinks, bias;
  std::string mods;                    // a file, or the name of an embedded one
  std::vector<std::string> mods_args;  // members of its struct
  std::vector<int> lengths, key_lengths;
  std::string dtype, policy;
  int repeat = 0;
  std::string device;
};

// The arrays that the options name.
struct AttentionArrays {
  NpyArray q, k, v, bias;
  std::vector<float> sinks;
  std::vector<ModsMember> members;                      // of the struct Mods
  std::vector<std::int32_t> first_queries, first_keys;  // of packed sequences; else empty
};

Result<AttentionArrays> read_arrays(const AttentionCommand& command);

// What is asked of the arrays; kInvalidArgument says what doesn't fit.
Result<attention::Problem> problem_of(const AttentionCommand& command,
                                      const AttentionArrays& arrays);

// Views of the arrays, which must live as long. REQUIRES: the problem is that of problem_of().
AttentionInputs inputs_of(const AttentionCommand& command, const AttentionArrays& arrays,
                          const attention::Problem& problem);

}  // namespace fms::program
