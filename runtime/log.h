#pragma once

#include <string>
#include <string_view>

#include "compiler/result.h"

namespace fms {

// Messages for people, on standard error. Nothing is printed below the level that is set; the
// default is kWarn.
enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

Result<LogLevel> parse_log_level(std::string_view text);  // "debug", "info", "warn", "error", "off"
std::string_view to_string(LogLevel level);

// Process-wide. Thread-safe.
void set_log_level(LogLevel level);
LogLevel log_level();
void log(LogLevel level, std::string_view message);

inline void log_debug(std::string_view message) { log(LogLevel::kDebug, message); }
inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
inline void log_warn(std::string_view message) { log(LogLevel::kWarn, message); }

}  // namespace fms
