#include "compiler/object_code.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace fms {
namespace {

// The number that stands before `unit` in the line: 384 for "384 bytes spill stores".
int number_before(std::string_view line, std::string_view unit) {
  const std::size_t at = line.find(unit);
  if (at == std::string_view::npos) return 0;
  std::size_t first = at;
  while (first > 0 && line[first - 1] >= '0' && line[first - 1] <= '9') --first;
  int number = 0;
  const auto [end, error] = std::from_chars(line.data() + first, line.data() + at, number);
  static_cast<void>(end);
  return error == std::errc::result_out_of_range ? std::numeric_limits<int>::max() : number;
}

// What stands between `before` and `after`; empty if either is missing.
std::string_view between(std::string_view line, std::string_view before, std::string_view after) {
  const std::size_t at = line.find(before);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + before.size());
  const std::size_t end = after.empty() ? line.size() : line.find(after);
  return end == std::string_view::npos ? std::string_view() : line.substr(0, end);
}

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

bool tells_of_serialized_wgmma(std::string_view line) {
  constexpr std::array<std::string_view, 5> kCodes = {"(C7510)", "(C7511)", "(C7515)", "(C7517)",
                                                      "(C7519)"};
  return std::ranges::any_of(
      kCodes, [&](std::string_view code) { return line.find(code) != std::string_view::npos; });
}

int saturating_add(int a, int b) {
  return a > std::numeric_limits<int>::max() - b ? std::numeric_limits<int>::max() : a + b;
}

}  // namespace

std::string_view to_string(ObjectFormat format) {
  switch (format) {
    case ObjectFormat::kCubin:
      return "cubin";
    case ObjectFormat::kPtx:
      return "ptx";
    case ObjectFormat::kElf:
      break;
  }
  return "elf";
}

Result<ObjectFormat> parse_object_format(std::string_view text) {
  if (text == "cubin") return ObjectFormat::kCubin;
  if (text == "ptx") return ObjectFormat::kPtx;
  if (text == "elf") return ObjectFormat::kElf;
  return fail(ErrorCode::kInvalidArgument, "can't use the object format \"" +
                                               std::string(text.substr(0, 80)) +
                                               "\": expected cubin, ptx or elf");
}

void read_ptxas_log(std::string_view log, std::string_view entry, Resources& resources) {
  const std::vector<std::string_view> lines = lines_of(log);
  // A function that isn't inlined has lines of its own. Its spills are the entry's too, since only
  // an entry's callees are kept; those of another entry of the file are not.
  std::vector<std::string_view> other_entries;
  for (const std::string_view line : lines) {
    const std::string_view name = between(line, "Compiling entry function '", "'");
    if (!name.empty() && name != entry) other_entries.push_back(name);
  }
  const auto concerns_entry = [&](std::string_view function) {
    return std::ranges::find(other_entries, function) == other_entries.end();
  };
  bool counted = false;
  for (const std::string_view line : lines) {
    if (line.find("Function properties for ") != std::string_view::npos) {
      counted = concerns_entry(between(line, "Function properties for ", ""));
    } else if (counted && line.find(" bytes spill stores") != std::string_view::npos) {
      resources.spill_stores =
          saturating_add(resources.spill_stores, number_before(line, " bytes spill stores"));
      resources.spill_loads =
          saturating_add(resources.spill_loads, number_before(line, " bytes spill loads"));
      counted = false;
    } else if (tells_of_serialized_wgmma(line) &&
               concerns_entry(between(line, "function '", "'"))) {
      resources.serialized_wgmma = true;
    }
  }
}

}  // namespace fms
