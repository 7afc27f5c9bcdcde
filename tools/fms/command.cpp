#include "tools/fms/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

#include "compiler/llvm_library.h"
#include "runtime/log.h"

namespace fms::program {
namespace {

// Splits at `separator`, leaving out what is empty.
std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
      return kBadUsage;
    case ErrorCode::kUnavailable:
      return kMissing;
    case ErrorCode::kCancelled:
      return kInterrupted;
    default:
      return kFalse;
  }
}

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& common, Json json) {
  command
      .add_option("--cache-dir", common.cache_dirs,
                  "store of compiled kernels; may be repeated, or a list with colons: the first "
                  "writable one is written, the others are read (FMS_CACHE_DIR)")
      ->type_name("DIR")
      ->allow_extra_args(false);
  command
      .add_option("--log", common.log_level,
                  "messages from this level up: debug, info, warn, error or off (FMS_LOG)")
      ->type_name("LEVEL");
  command.add_flag("-v,--verbose", common.verbose, "say more");
  if (json == Json::kYes) {
    command.add_flag("--json", common.json, "print JSON on standard output, for programs");
  }
}

Result<JitOptions> jit_options(const CommonOptions& common) {
  FMS_TRY(JitOptions options, JitOptions::from_environment());
  std::vector<std::filesystem::path> folders;
  for (const std::string& list : common.cache_dirs) {
    // Relative to here and now, unlike in the environment, where "here" is anywhere.
    std::error_code error;
    for (const std::string& folder : split(list, ':')) {
      folders.push_back(std::filesystem::absolute(folder, error));
    }
  }
  if (!folders.empty()) options.cache_dirs = std::move(folders);
  if (!common.log_level.empty()) {
    FMS_TRY(options.log_level, parse_log_level(common.log_level));
  } else if (common.verbose && !options.log_level) {
    options.log_level = LogLevel::kInfo;
  }
  if (options.log_level) set_log_level(*options.log_level);
  return options;
}

Result<Jit> create_jit(const CommonOptions& common) {
  FMS_TRY(JitOptions options, jit_options(common));
  return Jit::create(std::move(options));
}

Result<Target> choose_target(const std::string& text, const JitOptions& options) {
  if (!text.empty()) return Target::parse(text);
  if (options.target) return *options.target;
  if (options.sanitize.empty()) {
    if (auto device = Device::open()) return (*device)->target();
  }
  if (open_llvm(options.llvm)) return host_target();
  return fail(ErrorCode::kInvalidArgument,
              "no target is given and no device is here to take it from; add --target, such as "
              "--target sm_90a, or set FMS_TARGET; or have the LLVM library built for the CPU, by "
              "make demo WITH_LLVM=1");
}

Result<std::shared_ptr<Device>> choose_device(const std::string& text, const JitOptions& options) {
  if (!options.llvm.empty()) prefer_llvm(options.llvm);
  if (text == "cpu") return Device::cpu();
  if (!text.empty()) {
    const std::string_view number =
        text.starts_with("cuda:") ? std::string_view(text).substr(5) : std::string_view(text);
    int ordinal = 0;
    const char* const last = number.data() + number.size();
    const auto [end, error] = std::from_chars(number.data(), last, ordinal);
    if (error != std::errc() || end != last || ordinal < 0) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("can't use the device \"{}\": it may be cpu, or cuda:0 and so on",
                              text.substr(0, 80)));
    }
    return Device::open(ordinal);
  }
  if (options.target) {
    return options.target->kind == Target::Kind::kCpu ? Device::cpu() : Device::open();
  }
  if (!options.sanitize.empty()) return Device::cpu();
  Result<std::shared_ptr<Device>> cuda = Device::open();
  if (cuda || cuda.error().code != ErrorCode::kUnavailable) return cuda;
  Result<std::shared_ptr<Device>> cpu = Device::cpu();
  if (cpu) {
    log_info(fmt::format("{}: the CPU is used", cuda.error().message));
    return cpu;
  }
  Error error = std::move(cuda).error();
  error.message += fmt::format("; nor can the CPU be used: {}", cpu.error().message);
  error.detail += cpu.error().detail;
  return std::unexpected(std::move(error));
}

Result<std::vector<Target>> choose_targets(const std::vector<std::string>& texts,
                                           const JitOptions& options) {
  std::vector<Target> targets;
  for (const std::string& list : texts) {
    for (const std::string& text : split(list, ',')) {
      FMS_TRY(Target target, Target::parse(text));
      if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
    }
  }
  if (targets.empty()) {
    FMS_TRY(Target target, choose_target({}, options));
    targets.push_back(std::move(target));
  }
  return targets;
}

int report(const CommonOptions& common, std::string_view what, const Error& error) {
  const std::string message = error.message.starts_with("can't")
                                  ? error.message
                                  : fmt::format("{}: {}", what, error.message);
  fmt::print(stderr, "fms: {}\n", message);
  // The compiler's own words, and where something was looked for, are what the user needs; other
  // details are for those who ask.
  const bool needed = error.code == ErrorCode::kCompileFailed ||
                      error.code == ErrorCode::kRejected || error.code == ErrorCode::kUnavailable;
  if (!error.detail.empty() && (needed || common.verbose)) {
    fmt::print(stderr, "{}\n", error.detail);
  }
  if (common.json) {
    const nlohmann::json json{
        {"error",
         {{"code", to_string(error.code)}, {"message", message}, {"detail", error.detail}}}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return exit_code_of(error.code);
}

}  // namespace fms::program
