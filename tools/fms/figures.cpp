#include "tools/fms/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/fms/roofline.h"
#include "tools/fms/table.h"

namespace fms::program {

constexpr std::size_t kMostColumns = 100;

std::string Figures::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto aligned = [&](const std::vector<std::string>& row) {
    std::vector<std::string> cells{row.front()};
    for (std::size_t i = 1; i < row.size(); ++i) {
      cells.push_back(fmt::format("{:>{}}", row[i], widths[i]));
    }
    return cells;
  };
  Table table(aligned(rows_.front()));
  for (std::size_t i = 1; i < rows_.size(); ++i) table.add(aligned(rows_[i]));
  return table.text();
}

std::string with_commas(double count) {
  std::string digits = fmt::format("{:.0f}", count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string format_count(double count) {
  if (std::abs(count - std::round(count)) < 1e-9 * std::max(count, 1.0) && count < 1e7) {
    return with_commas(count);
  }
  if (count < 1e4) return fmt::format("{:.4g}", count);
  if (count < 1e7) return with_commas(count);
  std::string text = format_rate(count, "");
  const std::size_t space = text.find(' ');
  return text.erase(space, 1);
}

std::string wrap(std::string_view text, std::size_t indent) {
  std::string out, line(indent, ' ');
  bool empty = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (!empty && line.size() + 1 + word.size() > kMostColumns) {
      out += line + '\n';
      line.assign(indent, ' ');
      empty = true;
    }
    line += fmt::format("{}{}", empty ? "" : " ", word);
    empty = false;
  }
  return out + line + '\n';
}

}  // namespace fms::program
