#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/kernel_template.h"
#include "compiler/result.h"
#include "compiler/specialization.h"
#include "compiler/target.h"
#include "runtime/tunings.h"

namespace fms {

// One line of a manifest: a specialisation asked for by template, or by operation and problem.
struct ManifestEntry {
  std::string template_name;                      // {"template": ..., "parameters": {...}}
  std::map<std::string, std::string> parameters;  // as text
  std::string op;                                 // {"op": "attention", "dtype": ..., ...}
  std::map<std::string, std::string> problem;     // as text: "dtype" -> "bf16", "batch" -> "4", ...
  int line = 0;

  bool operator==(const ManifestEntry&) const = default;
};

// A list of specialisations to have ready: recorded from a run, or written by hand. JSON lines;
// blank lines and lines that start with # are skipped.
struct Manifest {
  std::vector<ManifestEntry> entries;

  static Result<Manifest> parse(std::string_view text);  // errors carry the line
  static Result<Manifest> read(const std::filesystem::path& file);
};

std::string to_json_line(const ManifestEntry& entry);  // one line, no newline

// The specialisations of an entry on a target: the dynamic variant, and the exact one where it
// differs; of an operation those of every tile that was tuned on a device of the target. A template
// that isn't embedded is looked up as a file, relative to `folder`.
Result<std::vector<Specialization>> resolve(const ManifestEntry& entry, const Target& target,
                                            const std::filesystem::path& folder = {},
                                            const Tunings& tunings = {});

}  // namespace fms
