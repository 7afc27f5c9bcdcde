#include "compiler/includes.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "compiler/source_lexer.h"

namespace fms {

namespace {

// Where the last # stands that may begin an #include. Most of a header comes after its includes: it
// is gone through from behind, and not read.
std::optional<std::size_t> last_include(std::string_view text) {
  for (std::size_t end = text.size(); end > 0;) {
    const void* const found = memrchr(text.data(), '#', end);
    if (found == nullptr) break;
    end = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    const std::size_t word = std::min(text.find_first_not_of(" \t\r", end + 1), text.size());
    // A comment or a splice may hide the word.
    const std::string_view rest = text.substr(word);
    if (rest.starts_with("include") || rest.starts_with('/') || rest.starts_with('\\')) return end;
  }
  return std::nullopt;
}

}  // namespace

std::vector<IncludeName> scan_includes(std::string_view text) {
  std::vector<IncludeName> includes;
  std::set<std::pair<std::string, bool>> seen;
  const std::optional<std::size_t> last = last_include(text);
  if (!last) return includes;
  SourceLexer lexer(text);
  while (lexer.position() <= *last) {
    SourceToken token = lexer.next();
    if (token.kind == SourceToken::Kind::kInclude &&
        seen.insert({token.text, token.angled}).second) {
      includes.push_back({.name = std::move(token.text), .angled = token.angled});
    }
  }
  return includes;
}

}  // namespace fms
