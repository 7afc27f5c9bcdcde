#include "tools/fms/manifest_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "runtime/template_file.h"
#include "templates/embedded.h"

namespace fms::program {
namespace {

using nlohmann::json;

// "manifests/llama-3.1-8b.jsonl" -> "llama-3.1-8b".
std::string name_of(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);
  if (path.ends_with(".jsonl")) path.remove_suffix(6);
  return std::string(path);
}

std::string template_ref(const ManifestEntry& entry, const std::filesystem::path& folder) {
  if (entry.op.empty()) {
    std::error_code ignored;
    const std::filesystem::path file = folder / entry.template_name;
    if (std::filesystem::is_regular_file(file, ignored)) {
      return std::filesystem::absolute(file, ignored).string();
    }
    return entry.template_name;
  }
  return {};  // an operation's template is one of ours: its own name is the reference
}

}  // namespace

std::vector<std::string> included_manifest_names() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_manifests()) names.push_back(name_of(file.name));
  return names;
}

Result<LocatedManifest> load_manifest(const std::string& file_or_name) {
  std::error_code ignored;
  if (!std::filesystem::exists(file_or_name, ignored)) {
    for (const EmbeddedFile& file : embedded_manifests()) {
      if (name_of(file.name) != file_or_name) continue;
      FMS_TRY(Manifest manifest, Manifest::parse(file.text));
      return LocatedManifest{std::move(manifest), {}};
    }
    return fail(
        ErrorCode::kNotFound,
        fmt::format("can't read the manifest {}: no such file, and the included ones are {}",
                    file_or_name, fmt::join(included_manifest_names(), ", ")));
  }
  FMS_TRY(Manifest manifest, Manifest::read(file_or_name));
  return LocatedManifest{std::move(manifest), std::filesystem::path(file_or_name).parent_path()};
}

Result<std::vector<PlannedKernel>> plan_kernels(const LocatedManifest& located,
                                                const std::vector<Target>& targets,
                                                const Jit* jit) {
  const Tunings none;
  std::vector<PlannedKernel> kernels;
  std::set<std::pair<std::string, std::string>> seen;
  for (const Target& target : targets) {
    const Tunings& tunings = jit != nullptr ? jit->tunings(target.kind) : none;
    for (const ManifestEntry& entry : located.manifest.entries) {
      FMS_TRY(std::vector<Specialization> variants,
              resolve(entry, target, located.folder, tunings));
      const std::string reference = template_ref(entry, located.folder);
      for (Specialization& variant : variants) {
        // Two files may define templates of one name, so the reference counts as well.
        const std::string ref = reference.empty() ? variant.kernel_template().name() : reference;
        if (!seen.emplace(ref + '\n' + variant.to_string(), target.to_string()).second) continue;
        kernels.push_back({std::move(variant), target, ref});
      }
    }
  }
  return kernels;
}

std::string to_work_item(const PlannedKernel& kernel) {
  const Specialization& specialization = kernel.specialization;
  const auto parameters = specialization.kernel_template().parameters();
  json values = json::object();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    values[parameters[i].name] = parameters[i].to_string(specialization.values()[i]);
  }
  const json item{{"template", kernel.template_ref},
                  {"parameters", std::move(values)},
                  {"target", kernel.target.to_string()}};
  return item.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<PlannedKernel> from_work_item(std::string_view line) {
  const json item = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto text_of = [&](const char* key) -> std::string {
    const auto found = item.is_object() ? item.find(key) : item.end();
    return found != item.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string reference = text_of("template");
  if (reference.empty() || !item.contains("parameters") || !item["parameters"].is_object()) {
    return fail(ErrorCode::kInvalidArgument, "a work item has a template, parameters and a target");
  }
  FMS_TRY(Target target, Target::parse(text_of("target")));
  Specialization::NamedText values;
  for (const auto& [name, value] : item["parameters"].items()) {
    values[name] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  FMS_TRY(auto kernel_template, load_template(reference));
  FMS_TRY(Specialization specialization, Specialization::parse(std::move(kernel_template), values));
  return PlannedKernel{std::move(specialization), std::move(target), reference};
}

}  // namespace fms::program
