#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "runtime/jit.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

struct Variable {
  const char* name;
  const char* meaning;
};

constexpr std::array<Variable, 12> kVariables{{
    {"FMS_CACHE_DIR",
     "folders of compiled kernels, separated by colons: the first writable one is written, the "
     "others are read"},
    {"FMS_CACHE_MAX_BYTES", "size over which old kernels are evicted: 2G, 500M; 0: no limit"},
    {"FMS_OFFLINE", "1: a kernel that isn't in the store is an error, never a compile"},
    {"FMS_RECORD", "manifest to which every kernel that is asked for is appended"},
    {"FMS_NVRTC", "the NVRTC library, or a folder to look for it in"},
    {"FMS_LLVM", "the LLVM library, libfms_llvm.so, which compiles for CPUs"},
    {"FMS_LOG", "debug, info, warn, error or off"},
    {"FMS_DUMP_DIR", "folder for the sources, cubins and logs of what is compiled"},
    {"FMS_LINEINFO", "1: kernels carry line numbers for profilers"},
    {"FMS_SANITIZE", "what kernels for a CPU check as they run: address, undefined, thread"},
    {"FMS_MAX_JOBS", "worker processes of `fms warm`; 0: one for each core"},
    {"FMS_TARGET", "compile for this target instead of the device's own: cuda:sm_90a, cpu"},
}};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::unexpected<Error> bad(const char* name, std::string_view value, std::string_view expected) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't use {}={}: it must be {}", name, value, expected));
}

Result<bool> read_flag(const char* name) {
  const std::string value = variable(name);
  if (value.empty() || value == "0" || value == "false" || value == "off") return false;
  if (value == "1" || value == "true" || value == "on") return true;
  return bad(name, value, "0 or 1");
}

std::vector<fs::path> default_cache_dirs() {
  const std::string cache = variable("XDG_CACHE_HOME");
  if (cache.starts_with('/')) return {fs::path(cache) / "flashmoe-science"};
  const std::string home = variable("HOME");
  if (home.starts_with('/')) return {fs::path(home) / ".cache" / "flashmoe-science"};
  return {};
}

}  // namespace

Result<Policy> parse_policy(std::string_view text) {
  for (const Policy policy : {Policy::kAuto, Policy::kExact, Policy::kDynamic}) {
    if (to_string(policy) == text) return policy;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is no policy: use auto, exact or dynamic", text));
}

std::string_view to_string(Policy policy) {
  switch (policy) {
    case Policy::kAuto:
      return "auto";
    case Policy::kExact:
      return "exact";
    case Policy::kDynamic:
      break;
  }
  return "dynamic";
}

Result<std::int64_t> parse_bytes(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size());
  int shift = -1;
  if (unit.empty()) shift = 0;
  if (unit == "K" || unit == "k") shift = 10;
  if (unit == "M" || unit == "m") shift = 20;
  if (unit == "G" || unit == "g") shift = 30;
  if (error != std::errc() || shift < 0 || number < 0 || number > (INT64_MAX >> shift)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no size: use a number of bytes, or one with K, M or G", text));
  }
  return number << shift;
}

std::vector<EnvironmentVariable> environment_variables() {
  std::vector<EnvironmentVariable> all;
  for (const Variable& each : kVariables) {
    all.push_back({each.name, each.meaning, variable(each.name)});
  }
  return all;
}

Result<JitOptions> JitOptions::from_environment() {
  JitOptions options;
  options.cache_dirs = default_cache_dirs();
  if (const std::string value = variable("FMS_CACHE_DIR"); !value.empty()) {
    FMS_TRY(options.cache_dirs, parse_cache_dirs(value));
  }
  if (const std::string value = variable("FMS_CACHE_MAX_BYTES"); !value.empty()) {
    Result<std::int64_t> bytes = parse_bytes(value);
    if (!bytes)
      return bad("FMS_CACHE_MAX_BYTES", value, "a number of bytes, or one with K, M or G");
    options.cache_max_bytes = *bytes;
  }
  FMS_TRY(options.offline, read_flag("FMS_OFFLINE"));
  FMS_TRY(options.lineinfo, read_flag("FMS_LINEINFO"));
  options.record = variable("FMS_RECORD");
  options.dump_dir = variable("FMS_DUMP_DIR");
  if (const std::string value = variable("FMS_LOG"); !value.empty()) {
    const Result<LogLevel> level = parse_log_level(value);
    if (!level) return bad("FMS_LOG", value, "debug, info, warn, error or off");
    options.log_level = *level;
  }
  if (const std::string value = variable("FMS_MAX_JOBS"); !value.empty()) {
    const char* const last = value.data() + value.size();
    const auto [end, error] = std::from_chars(value.data(), last, options.max_jobs);
    if (error != std::errc() || end != last || options.max_jobs < 0 || options.max_jobs > 1024) {
      return bad("FMS_MAX_JOBS", value, "a number from 0 to 1024");
    }
  }
  if (const std::string value = variable("FMS_TARGET"); !value.empty()) {
    Result<Target> target = Target::parse(value);
    if (!target) return bad("FMS_TARGET", value, "a target such as cuda:sm_90a or cpu");
    options.target = *std::move(target);
  }
  if (const std::string value = variable("FMS_SANITIZE"); !value.empty()) {
    Result<std::vector<Sanitizer>> sanitize = parse_sanitizers(value);
    if (!sanitize) return bad("FMS_SANITIZE", value, "address, undefined or thread, with commas");
    options.sanitize = *std::move(sanitize);
  }
  options.llvm = variable("FMS_LLVM");
  options.toolkit = ToolkitSearch::from_environment();
  return options;
}

Result<std::vector<fs::path>> parse_cache_dirs(std::string_view text) {
  std::vector<fs::path> folders;
  std::stringstream list{std::string(text)};
  std::string folder;
  while (std::getline(list, folder, ':')) {
    if (folder.empty()) continue;
    // A relative folder would be another one in each working directory, and anyone's in a shared
    // one.
    if (!folder.starts_with('/')) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("can't keep kernels in '{}': give an absolute path", folder));
    }
    folders.emplace_back(folder);
  }
  return folders;
}

}  // namespace fms
