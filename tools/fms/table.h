#pragma once

#include <string>
#include <vector>

namespace fms::program {

// Text in columns. Those of the first row are the titles.
class Table {
 public:
  explicit Table(std::vector<std::string> titles);

  void add(std::vector<std::string> row);  // short rows are filled with nothing
  std::size_t rows() const { return rows_.size() - 1; }

  std::string text() const;      // for a terminal: columns aligned, two spaces between
  std::string markdown() const;  // | a | b |

 private:
  std::vector<std::size_t> widths() const;

  std::vector<std::vector<std::string>> rows_;
};

std::string format_bytes(double bytes);  // "1.5 MiB"

}  // namespace fms::program
