#include "tools/fms/npy_header.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

namespace fms::program {
namespace {

// NumPy's own limit since 2.0.
constexpr std::size_t kMaxDimensions = 64;

// Reads the few forms of Python literal that NumPy writes, left to right.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  // A quoted string with no escapes, which is all that keys and type codes need.
  std::optional<std::string> take_string() {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return std::nullopt;
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }

  std::optional<std::int64_t> take_length() {
    skip_space();
    std::int64_t value = 0;
    const std::size_t start = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const int digit = text_[at_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) return std::nullopt;
      value = value * 10 + digit;
    }
    if (at_ == start) return std::nullopt;
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  bool next_is(char c) {
    skip_space();
    return at_ < text_.size() && text_[at_] == c;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorCode::kCorrupt, std::move(what));
}

Result<std::vector<std::int64_t>> take_shape(Scanner& scanner) {
  if (!scanner.take('(')) return corrupt("its shape isn't a tuple");
  std::vector<std::int64_t> shape;
  while (!scanner.take(')')) {
    const auto length = scanner.take_length();
    if (!length) return corrupt("its shape has something that isn't a length");
    if (shape.size() == kMaxDimensions) return corrupt("its shape has more than 64 dimensions");
    shape.push_back(*length);
    if (!scanner.take(',') && !scanner.next_is(')')) return corrupt("its shape doesn't end");
  }
  return shape;
}

Result<void> take_value(Scanner& scanner, std::string_view key, NpyHeader& header) {
  if (key == "descr") {
    if (scanner.next_is('[')) {
      return fail(ErrorCode::kUnsupported,
                  "it has a structured type; save one plain array, such as a['field'].copy()");
    }
    const auto descr = scanner.take_string();
    if (!descr) return corrupt("its type isn't a string");
    header.descr = *descr;
  } else if (key == "fortran_order") {
    header.fortran_order = scanner.take_word("True");
    if (!header.fortran_order && !scanner.take_word("False")) {
      return corrupt("its fortran_order is neither True nor False");
    }
  } else {
    FMS_TRY(header.shape, take_shape(scanner));
  }
  return {};
}

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view text) {
  constexpr std::string_view kKeys[] = {"descr", "fortran_order", "shape"};
  bool seen[] = {false, false, false};
  NpyHeader header;
  Scanner scanner(text);
  if (!scanner.take('{')) return corrupt("its header isn't a dictionary");
  while (!scanner.take('}')) {
    const auto key = scanner.take_string();
    if (!key || !scanner.take(':')) return corrupt("its header isn't a dictionary of names");
    std::size_t index = 0;
    while (index < std::size(kKeys) && kKeys[index] != *key) ++index;
    if (index == std::size(kKeys)) return corrupt("its header has a key that no .npy file has");
    if (seen[index]) return corrupt(fmt::format("its header has {} twice", *key));
    seen[index] = true;
    FMS_TRY_VOID(take_value(scanner, *key, header));
    if (!scanner.take(',') && !scanner.next_is('}')) return corrupt("its header doesn't end");
  }
  if (!scanner.at_end()) return corrupt("its header goes on after its dictionary");
  for (std::size_t i = 0; i < std::size(kKeys); ++i) {
    if (!seen[i]) return corrupt(fmt::format("its header has no {}", kKeys[i]));
  }
  return header;
}

}  // namespace fms::program
