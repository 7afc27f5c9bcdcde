#include "compiler/token_cursor.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace fms {
namespace {

using Kind = SourceToken::Kind;

// Bounds that no sensible template reaches; they keep a hostile file's cost small.
constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestDoc = 4096;

// An integer literal as C++ reads it, its sign apart.
bool read_integer(std::string_view text, bool negative, std::int64_t& value) {
  while (!text.empty() && std::string_view("uUlLzZ").find(text.back()) != std::string_view::npos) {
    text.remove_suffix(1);
  }
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with("0b") || text.starts_with("0B")) {
    base = 2;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.front() == '0') {
    base = 8;
  }
  std::uint64_t magnitude = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, magnitude, base);
  if (text.empty() || error != std::errc() || stop != end) return false;
  const std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  if (magnitude > largest) return false;
  value = static_cast<std::int64_t>(magnitude);
  if (negative) value = -value;
  return true;
}

bool read_floating(std::string_view text, bool negative, double& value) {
  auto format = std::chars_format::general;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    format = std::chars_format::hex;
    text.remove_prefix(2);
  } else if (text.ends_with('f') || text.ends_with('F')) {
    text.remove_suffix(1);
  }
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, format);
  if (text.empty() || error != std::errc() || stop != end || !std::isfinite(value)) return false;
  if (negative) value = -value;
  return true;
}

}  // namespace

std::string shown(const SourceToken& token) {
  switch (token.kind) {
    case Kind::kIdentifier:
    case Kind::kNumber:
    case Kind::kPunct:
      return fmt::format("'{}'", std::string_view(token.text).substr(0, 80));
    case Kind::kString:
      return "a string";
    case Kind::kInclude:
      return "an #include";
    case Kind::kInvalid:
      return token.text;
    case Kind::kEnd:
      return "the end of the file";
  }
  return "something else";
}

TokenCursor::TokenCursor(std::string_view file_name, std::string_view text)
    : file_name_(file_name), lexer_(text) {
  advance();
}

bool TokenCursor::at(char punct) const {
  return token_.kind == Kind::kPunct && token_.text.front() == punct;
}

void TokenCursor::advance() {
  do {
    token_ = lexer_.next();
  } while (token_.kind == Kind::kInclude);
}

std::unexpected<Error> TokenCursor::error_at(const SourceToken& token,
                                             std::string_view what) const {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}:{}:{}: {}", file_name_, token.line, token.column, what));
}

std::unexpected<Error> TokenCursor::expected(std::string_view what) const {
  return error_at(token_, fmt::format("expected {}, found {}", what, shown(token_)));
}

Result<void> TokenCursor::take(char punct, std::string_view where) {
  if (!at(punct)) return expected(fmt::format("'{}' {}", punct, where));
  advance();
  return {};
}

Result<std::string> TokenCursor::take_name(std::string_view what) {
  if (token_.kind != Kind::kIdentifier) return expected(what);
  if (token_.text.size() > kLongestName) {
    return error_at(token_, fmt::format("a name of {} characters; at most {} are allowed",
                                        token_.text.size(), kLongestName));
  }
  std::string name = token_.text;
  advance();
  return name;
}

Result<std::string> TokenCursor::take_doc() {
  if (token_.kind != Kind::kString || !token_.plain) return expected("a \"description\"");
  std::string doc;
  while (token_.kind == Kind::kString && token_.plain) {
    if (doc.size() + token_.text.size() > kLongestDoc) {
      return error_at(token_, fmt::format("a description of more than {} bytes", kLongestDoc));
    }
    doc += token_.text;
    advance();
  }
  return doc;
}

Result<std::int64_t> TokenCursor::take_integer(std::string_view what) {
  const SourceToken first = token_;
  const bool negative = at('-');
  if (negative || at('+')) advance();
  if (token_.kind != Kind::kNumber) return expected(what);
  std::int64_t value = 0;
  if (!read_integer(token_.text, negative, value)) {
    return error_at(first,
                    fmt::format("expected {} of at most 63 bits, found {}", what, shown(token_)));
  }
  advance();
  return value;
}

Result<double> TokenCursor::take_floating(std::string_view what) {
  const SourceToken first = token_;
  const bool negative = at('-');
  if (negative || at('+')) advance();
  if (token_.kind != Kind::kNumber) return expected(what);
  double value = 0;
  if (!read_floating(token_.text, negative, value)) {
    return error_at(first, fmt::format("expected {}, found {}", what, shown(token_)));
  }
  advance();
  return value;
}

Result<Value> TokenCursor::take_dtype(std::string_view what) {
  const SourceToken first = token_;
  FMS_TRY(const std::string name, take_name(what));
  const std::optional<DType> dtype = parse_dtype(name);
  if (!dtype) {
    return error_at(first,
                    fmt::format("expected {}, as in float32 or bfloat16, found '{}'", what, name));
  }
  return Value::dtype(*dtype);
}

}  // namespace fms
