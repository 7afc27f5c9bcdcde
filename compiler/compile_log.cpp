#include "compiler/compile_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace fms {
namespace {

constexpr std::size_t kMostShown = 10;  // the whole log follows anyway
constexpr int kLinesAround = 2;
constexpr std::size_t kLogIndent = 2;  // NVRTC indents the source lines that it repeats

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Reads "file(12): error: message", also with a number: "error #123: message".
std::optional<Diagnostic> read_located(std::string_view line) {
  const std::size_t close = line.find("): ");
  if (close == std::string_view::npos) return std::nullopt;
  const std::size_t open = line.rfind('(', close);
  if (open == std::string_view::npos || open == 0) return std::nullopt;
  Diagnostic diagnostic{.file = std::string(line.substr(0, open))};
  const char* end = line.data() + close;
  const auto [stop, error] = std::from_chars(line.data() + open + 1, end, diagnostic.line);
  if (error != std::errc() || stop != end || diagnostic.line < 1) return std::nullopt;
  std::string_view rest = line.substr(close + 3);
  if (rest.starts_with("catastrophic ")) rest.remove_prefix(13);
  if (!rest.starts_with("error")) return std::nullopt;
  const std::size_t colon = rest.find(": ");
  if (colon == std::string_view::npos) return std::nullopt;
  diagnostic.message = rest.substr(colon + 2);
  return diagnostic;
}

// Where the caret stands below the repeated source line, in columns of that line.
int read_column(std::span<const std::string_view> following) {
  for (std::size_t i = 0; i + 1 < following.size() && i < 3; ++i) {
    const std::string_view caret = following[i + 1];
    const std::size_t at = caret.find('^');
    const bool is_caret_line = at != std::string_view::npos && at >= kLogIndent &&
                               caret.find_first_not_of(" ^~") == std::string_view::npos;
    if (is_caret_line) return static_cast<int>(at - kLogIndent) + 1;
  }
  return 0;
}

const SourceFile* find_source(std::span<const SourceFile> sources, std::string_view name) {
  const auto found = std::ranges::find(sources, name, &SourceFile::name);
  return found == sources.end() ? nullptr : &*found;
}

std::string show_lines(const Diagnostic& error, std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  const int count = static_cast<int>(std::min<std::size_t>(lines.size(), 1u << 30));
  std::string shown;
  for (int number = std::max(1, error.line - kLinesAround);
       number <= std::min(count, error.line + kLinesAround); ++number) {
    const std::string_view line = lines[static_cast<std::size_t>(number) - 1];
    shown += fmt::format("{:6} | {}\n", number, line);
    if (number != error.line || error.column < 1) continue;
    // Tabs are repeated, so that the caret stands below its character at any tab width.
    std::string blanks;
    for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(error.column); ++i) {
      blanks += i < line.size() && line[i] == '\t' ? '\t' : ' ';
    }
    shown += fmt::format("{:6} | {}^\n", "", blanks);
  }
  return shown;
}

}  // namespace

std::string Diagnostic::to_string() const {
  return file.empty() ? message : fmt::format("{}({}): {}", file, line, message);
}

std::vector<Diagnostic> find_errors(std::string_view log) {
  const std::vector<std::string_view> lines = lines_of(log);
  std::vector<Diagnostic> errors;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (auto error = read_located(lines[i])) {
      error->column = read_column(std::span(lines).subspan(i + 1));
      errors.push_back(*std::move(error));
    }
  }
  if (!errors.empty()) return errors;
  for (const std::string_view line : lines) {
    const bool is_error = line.find("error") != std::string_view::npos ||
                          line.find("fatal") != std::string_view::npos;
    if (is_error) errors.push_back({.message = std::string(line)});
  }
  return errors;
}

std::string show_errors(std::span<const Diagnostic> errors, std::span<const SourceFile> sources) {
  std::string shown;
  for (const Diagnostic& error : errors.first(std::min(errors.size(), kMostShown))) {
    shown += error.to_string() + "\n";
    if (const SourceFile* source = find_source(sources, error.file)) {
      shown += show_lines(error, source->text);
    }
  }
  if (errors.size() > kMostShown) {
    shown += fmt::format("and {} more errors\n", errors.size() - kMostShown);
  }
  return shown;
}

}  // namespace fms
