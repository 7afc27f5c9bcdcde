#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "compiler/kernel_template.h"
#include "compiler/llvm_library.h"
#include "compiler/nvrtc_compiler.h"
#include "runtime/device.h"
#include "runtime/toolkit.h"
#include "tools/fms/command.h"
#include "tools/fms/manifest_plan.h"
#include "tools/fms/table.h"
#include "tools/fms/version.h"

namespace fms::program {
namespace {

using nlohmann::json;

json describe_nvrtc(const JitOptions& options) {
  const auto toolkit = find_toolkit(options.toolkit);
  if (!toolkit) return {{"found", false}, {"message", toolkit.error().message}};
  const auto compiler = open_compiler(*toolkit);
  if (!compiler) return {{"found", false}, {"message", compiler.error().message}};
  json includes = json::array();
  for (const auto& folder : toolkit->include_folders) includes.push_back(folder.string());
  const auto [major, minor] = (*compiler)->version();
  return {{"found", true},
          {"version", fmt::format("{}.{}", major, minor)},
          {"library", (*compiler)->library_path()},
          {"origin", toolkit->origin},
          {"include_folders", std::move(includes)},
          {"archs", (*compiler)->supported_archs()},
          {"fingerprint", (*compiler)->fingerprint()}};
}

json describe_driver() {
  const auto count = Device::count();
  if (!count) return {{"found", false}, {"message", count.error().message}};
  json devices = json::array();
  int version = 0;
  for (int i = 0; i < *count; ++i) {
    const auto device = Device::open(i);
    if (!device) {
      devices.push_back({{"ordinal", i}, {"message", device.error().message}});
      continue;
    }
    const DeviceInfo& info = (*device)->info();
    version = info.driver_version;
    devices.push_back({{"ordinal", i},
                       {"name", info.name},
                       {"target", (*device)->target().to_string()},
                       {"compute_capability", info.compute_capability},
                       {"sm_count", info.sm_count},
                       {"memory_bytes", info.memory_bytes},
                       {"l2_bytes", info.l2_bytes},
                       {"max_smem_per_block_bytes", info.max_smem_per_block_bytes}});
  }
  return {{"found", true},
          {"version", fmt::format("{}.{}", version / 1000, version % 1000 / 10)},
          {"devices", std::move(devices)}};
}

json describe_llvm(const JitOptions& options) {
  const auto library = open_llvm(options.llvm);
  if (!library) return {{"found", false}, {"message", library.error().message}};
  return {{"found", true},
          {"version", (*library)->version()},
          {"library", (*library)->path()},
          {"host_cpu", (*library)->host_cpu()},
          {"fingerprint", (*library)->compiler()->fingerprint()}};
}

json describe_cpu() {
  const auto device = Device::cpu();
  if (!device) return {{"found", false}, {"message", device.error().message}};
  const DeviceInfo& info = (*device)->info();
  return {{"found", true},
          {"name", info.name},
          {"target", (*device)->target().to_string()},
          {"cores", info.sm_count},
          {"memory_bytes", info.memory_bytes},
          {"max_smem_per_block_bytes", info.max_smem_per_block_bytes}};
}

json describe_tier(const std::filesystem::path& folder, const JitOptions& options) {
  json tier{{"folder", folder.string()}};
  auto store = KernelStore::open(folder, {.max_bytes = options.cache_max_bytes});
  std::string why;
  if (!store) {
    why = store.error().message;
    store = KernelStore::open_read_only(folder);
  }
  if (!store) {
    tier.update({{"usable", false}, {"message", why}});
    return tier;
  }
  tier.update({{"usable", true},
               {"writable", !(*store)->read_only()},
               {"journal_mode", (*store)->journal_mode()}});
  if (const auto stats = (*store)->stats()) {
    tier.update({{"entries", stats->entries}, {"bytes", stats->bytes}});
  }
  return tier;
}

json describe_templates(bool parameters_too) {
  json templates = json::array();
  for (const std::string& name : KernelTemplate::embedded_names()) {
    const auto kernel_template = KernelTemplate::embedded(name);
    if (!kernel_template) {
      templates.push_back({{"name", name}, {"message", kernel_template.error().message}});
      continue;
    }
    json one{{"name", name},
             {"file", (*kernel_template)->file_name()},
             {"doc", (*kernel_template)->doc()}};
    if (parameters_too) {
      one["parameters"] = json::array();
      for (const Parameter& parameter : (*kernel_template)->parameters()) {
        one["parameters"].push_back({{"name", parameter.name},
                                     {"kind", to_string(parameter.kind)},
                                     {"doc", parameter.doc},
                                     {"values", parameter.describe()}});
      }
    }
    templates.push_back(std::move(one));
  }
  return templates;
}

json examine(const CommonOptions& common, const JitOptions& options) {
  if (!options.llvm.empty()) prefer_llvm(options.llvm);
  json tiers = json::array(), variables = json::array();
  for (const auto& folder : options.cache_dirs) tiers.push_back(describe_tier(folder, options));
  for (const EnvironmentVariable& variable : environment_variables()) {
    variables.push_back(
        {{"name", variable.name}, {"value", variable.value}, {"meaning", variable.meaning}});
  }
  return {{"version", version()},
          {"commit", commit()},
          {"nvrtc", describe_nvrtc(options)},
          {"llvm", describe_llvm(options)},
          {"driver", describe_driver()},
          {"cpu", describe_cpu()},
          {"store", std::move(tiers)},
          {"environment", std::move(variables)},
          {"templates", describe_templates(common.json || common.verbose)},
          {"manifests", included_manifest_names()}};
}

std::string text_of(const json& object, const char* key) { return object.value(key, ""); }

void print_driver(const json& driver) {
  if (!driver["found"].get<bool>()) {
    fmt::print("Driver\n  not found: {}\n  kernels for GPUs compile, but don't launch here\n\n",
               text_of(driver, "message"));
    return;
  }
  fmt::print("Driver\n  CUDA {}\n", text_of(driver, "version"));
  if (driver["devices"].empty()) fmt::print("  no device\n");
  for (const json& device : driver["devices"]) {
    if (device.contains("message")) {
      fmt::print("  {}  {}\n", device["ordinal"].get<int>(), text_of(device, "message"));
      continue;
    }
    fmt::print("  {}  {}, {}, {} SMs, {}\n", device["ordinal"].get<int>(), text_of(device, "name"),
               text_of(device, "target"), device["sm_count"].get<int>(),
               format_bytes(device["memory_bytes"].get<double>()));
  }
  fmt::print("\n");
}

void print_llvm(const json& llvm) {
  if (llvm["found"].get<bool>()) {
    fmt::print("LLVM\n  {}: {}\n  compiles for CPUs; this one is {}\n\n", text_of(llvm, "version"),
               text_of(llvm, "library"), text_of(llvm, "host_cpu"));
  } else {
    fmt::print("LLVM\n  not found: {}\n\n", text_of(llvm, "message"));
  }
}

void print_cpu(const json& cpu) {
  if (cpu["found"].get<bool>()) {
    fmt::print("CPU\n  {}, {}, {} cores, {}\n\n", text_of(cpu, "name"), text_of(cpu, "target"),
               cpu["cores"].get<int>(), format_bytes(cpu["memory_bytes"].get<double>()));
  } else {
    fmt::print("CPU\n  kernels don't run on it without the LLVM library\n\n");
  }
}

void print_store(const json& tiers) {
  fmt::print("Store\n");
  for (const json& tier : tiers) {
    if (!tier["usable"].get<bool>()) {
      fmt::print("  {}  not usable: {}\n", text_of(tier, "folder"), text_of(tier, "message"));
      continue;
    }
    fmt::print("  {}  {}, journal {}, {} entries, {}\n", text_of(tier, "folder"),
               tier["writable"].get<bool>() ? "writable" : "read-only",
               text_of(tier, "journal_mode"), tier.value("entries", std::int64_t{0}),
               format_bytes(tier.value("bytes", 0.0)));
  }
  if (tiers.empty()) fmt::print("  none: neither XDG_CACHE_HOME nor HOME is set\n");
}

void print(const json& found, bool verbose) {
  fmt::print("{}\n\nNVRTC\n", version_line());
  const json& nvrtc = found["nvrtc"];
  if (nvrtc["found"].get<bool>()) {
    const auto archs = nvrtc["archs"].get<std::vector<int>>();
    fmt::print("  {} from {}: {}\n", text_of(nvrtc, "version"), text_of(nvrtc, "origin"),
               text_of(nvrtc, "library"));
    if (!archs.empty()) fmt::print("  compiles for sm_{} to sm_{}\n", archs.front(), archs.back());
  } else {
    fmt::print("  not found: {}\n", text_of(nvrtc, "message"));
  }
  fmt::print("\n");
  print_llvm(found["llvm"]);
  print_driver(found["driver"]);
  print_cpu(found["cpu"]);
  print_store(found["store"]);
  fmt::print("\nEnvironment\n");
  for (const json& variable : found["environment"]) {
    const std::string value = text_of(variable, "value");
    fmt::print("  {:<20} {:<12} {}\n", text_of(variable, "name"), value.empty() ? "-" : value,
               text_of(variable, "meaning"));
  }
  fmt::print("\nTemplates\n");
  for (const json& one : found["templates"]) {
    fmt::print("  {:<24} {}\n", text_of(one, "name"),
               one.contains("message") ? text_of(one, "message") : text_of(one, "doc"));
    if (!verbose || !one.contains("parameters")) continue;
    for (const json& parameter : one["parameters"]) {
      fmt::print("    {:<12} {}; {}\n", text_of(parameter, "name"), text_of(parameter, "doc"),
                 text_of(parameter, "values"));
    }
  }
}

}  // namespace

void add_doctor(CLI::App& program, int& exit_code) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* command = program.add_subcommand(
      "doctor", "Show what is found here: compilers, devices, store, environment, templates");
  command->footer(
      "Exit code 3 if no compiler is found; a machine without a GPU is fine.\n\n"
      "Example:\n  fms doctor -v");
  add_common_options(*command, *common, Json::kYes);
  command->callback([common, &exit_code] {
    const auto options = jit_options(*common);
    if (!options) {
      exit_code = report(*common, "can't examine this machine", options.error());
      return;
    }
    const json found = examine(*common, *options);
    if (common->json) {
      fmt::print("{}\n", found.dump(2, ' ', false, json::error_handler_t::replace));
    } else {
      print(found, common->verbose);
    }
    const bool compiles = found["nvrtc"]["found"].get<bool>() || found["llvm"]["found"].get<bool>();
    exit_code = compiles ? kOk : kMissing;
  });
}

}  // namespace fms::program
