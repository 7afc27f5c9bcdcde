#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fms::program {

// A table whose columns but the first are aligned at their right. Rows are as long as the titles.
class Figures {
 public:
  explicit Figures(std::vector<std::string> titles) { rows_.push_back(std::move(titles)); }

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::size_t size() const { return rows_.size() - 1; }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string with_commas(double count);   // "1,048,576"; fractions are rounded
std::string format_count(double count);  // "1,048,576", "0.25", "4.29G"

// Breaks `text` at spaces into lines of at most 100 columns that begin with `indent` spaces.
std::string wrap(std::string_view text, std::size_t indent);

}  // namespace fms::program
