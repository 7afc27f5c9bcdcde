#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compiler/result.h"
#include "compiler/specialization.h"
#include "runtime/manifest.h"

namespace CLI {
class App;
}

namespace fms::program {

// How a command names a specialisation: FILE|NAME -p K=V... --entry NAME --include DIR.
struct TemplateOptions {
  std::string name;
  std::vector<std::string> parameters;
  std::string entry;
  std::vector<std::string> includes;
};

void add_template_options(CLI::App& command, TemplateOptions& options);

// Loads the template and checks its values.
Result<Specialization> load_specialization(const TemplateOptions& options);

// The line that FMS_RECORD keeps of it: a file by its absolute path, since a manifest may lie
// anywhere.
ManifestEntry to_manifest_entry(const TemplateOptions& options,
                                const Specialization& specialization);

}  // namespace fms::program
