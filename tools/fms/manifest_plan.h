#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"
#include "compiler/specialization.h"
#include "compiler/target.h"
#include "runtime/jit.h"
#include "runtime/manifest.h"

namespace fms::program {

// A kernel that a manifest asks for, on one target.
struct PlannedKernel {
  Specialization specialization;
  Target target;
  std::string template_ref;  // what load_template() takes: a name, or a file's path
};

// A manifest with the folder that its files are relative to.
struct LocatedManifest {
  Manifest manifest;
  std::filesystem::path folder;
};

// The names of the included manifests: "llama-3.1-8b", ...
std::vector<std::string> included_manifest_names();

// The manifest of that file, or the included one of that name (a file wins).
Result<LocatedManifest> load_manifest(const std::string& file_or_name);

// Every kernel that a manifest asks for, on every target, each once, in the manifest's order. With
// those that the tunings in the store of `jit` ask for, if it is given.
Result<std::vector<PlannedKernel>> plan_kernels(const LocatedManifest& located,
                                                const std::vector<Target>& targets,
                                                const Jit* jit = nullptr);

// One JSON line for a worker process, and back.
std::string to_work_item(const PlannedKernel& kernel);
Result<PlannedKernel> from_work_item(std::string_view line);

}  // namespace fms::program
