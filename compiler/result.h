#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace fms {

// What kind of thing went wrong: for a program to branch on. A person reads the message.
enum class ErrorCode {
  kInvalidArgument,  // the caller asked for something that can't be: a bad value, name or file
  kNotFound,         // a named thing doesn't exist
  kUnsupported,      // valid, but this target, device or version can't do it
  kUnavailable,      // a library or device that the work needs isn't on this machine
  kCompileFailed,    // the compiler refused the source
  kRejected,         // compiled, but spills or serialises wgmma (law 10)
  kCancelled,        // the caller asked to stop
  kTimeout,          // waited too long
  kOffline,          // would have to compile, and may not
  kCapturing,        // not allowed while a CUDA graph is captured (law 9)
  kDriver,           // the CUDA driver returned an error
  kIo,               // a file or the store can't be read or written
  kCorrupt,          // bytes that fail their checksum or don't parse
  kOutOfMemory,
  kInternal,  // our own mistake
};

// "invalid_argument", "compile_failed", ...: stable, used in JSON.
std::string_view to_string(ErrorCode code);

// A failure, as a value. The message is one line: what was being done, to what, and what to do
// next. The detail, which may be long and may be empty, is for logs (a compiler's output, say).
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string detail;
};

// `message` with `context` in front: "can't warm m.jsonl: line 3: ...". Code and detail stay.
Error with_context(std::string_view context, Error error);

// A value or an Error. A class and not an alias, so that dropping one is a warning.
template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string detail = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(detail)});
}

}  // namespace fms

#define FMS_CONCAT_(a, b) a##b
#define FMS_CONCAT(a, b) FMS_CONCAT_(a, b)

// FMS_TRY(auto x, f()): x is f()'s value; a failure of f() is returned to the caller. A macro, for
// only a macro can return from its caller.
#define FMS_TRY(target, ...) FMS_TRY_(FMS_CONCAT(fms_result_, __LINE__), target, __VA_ARGS__)
#define FMS_TRY_(result, target, ...)                             \
  auto result = (__VA_ARGS__);                                    \
  if (!result) return std::unexpected(std::move(result).error()); \
  target = *std::move(result)

// The same where there is no value to keep.
#define FMS_TRY_VOID(...)                           \
  if (auto fms_result = (__VA_ARGS__); !fms_result) \
  return std::unexpected(std::move(fms_result).error())
