#include "runtime/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <utility>

namespace fms {
namespace {

constexpr std::array<std::pair<std::string_view, LogLevel>, 5> kNames{{
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warn", LogLevel::kWarn},
    {"error", LogLevel::kError},
    {"off", LogLevel::kOff},
}};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

// Of its own, so that the program's own spdlog settings neither change it nor are changed. Never
// destroyed: background threads may still log while the process ends.
spdlog::logger& logger() {
  static spdlog::logger* const instance = [] {
    auto* made = new spdlog::logger("fms", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("[fms %H:%M:%S.%e %P] %l: %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const auto& [name, level] : kNames) {
    if (name == text) return level;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is no log level: use debug, info, warn, error or off", text));
}

std::string_view to_string(LogLevel level) {
  for (const auto& [name, value] : kNames) {
    if (value == level) return name;
  }
  return "off";
}

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

LogLevel log_level() {
  for (const auto& [name, level] : kNames) {
    if (to_spdlog(level) == logger().level()) return level;
  }
  return LogLevel::kOff;
}

void log(LogLevel level, std::string_view message) {
  logger().log(to_spdlog(level), "{}", message);
}

}  // namespace fms
