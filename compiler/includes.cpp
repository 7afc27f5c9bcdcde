#include "compiler/includes.h"

#include <set>
#include <utility>

#include "compiler/source_lexer.h"

namespace fms {

std::vector<IncludeName> scan_includes(std::string_view text) {
  std::vector<IncludeName> includes;
  std::set<std::pair<std::string, bool>> seen;
  // Most of a header comes after its includes, and is not looked at.
  const std::size_t last = text.rfind("include");
  if (last == std::string_view::npos) return includes;
  SourceLexer lexer(text);
  while (lexer.position() <= last) {
    SourceToken token = lexer.next();
    if (token.kind == SourceToken::Kind::kInclude &&
        seen.insert({token.text, token.angled}).second) {
      includes.push_back({.name = std::move(token.text), .angled = token.angled});
    }
  }
  return includes;
}

}  // namespace fms
