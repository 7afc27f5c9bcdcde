#pragma once

#include <cstdint>
#include <string>

namespace fms {

// A choice that was measured to be the fastest, and what it was measured against.
//
// A preference and never a source of truth: who reads one checks that the choice is one that can be
// made, and takes another if it isn't.
struct Tuning {
  // What it holds for: together unique in a store.
  std::string template_name;    // "attention_forward_sm90"
  std::string template_digest;  // KernelTemplate::digest(), hexadecimal: of another text it says
                                // nothing
  std::string target;           // "cuda:sm_90a"
  std::string device;           // "NVIDIA H100 80GB HBM3, 132 SMs"
  std::string compiler;         // fingerprint
  std::string problem;          // what of a problem counts, in the operation's own words

  std::string choice;        // "kBlockN=128 kStages=2"
  std::string evidence;      // JSON: what was measured, when, by which driver
  std::int64_t created = 0;  // seconds since 1970; set by the store that keeps it

  bool operator==(const Tuning&) const = default;
};

}  // namespace fms
