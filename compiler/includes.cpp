#include "compiler/includes.h"

#include <set>
#include <utility>

#include "compiler/source_lexer.h"

namespace fms {

std::vector<IncludeName> scan_includes(std::string_view text) {
  std::vector<IncludeName> includes;
  std::set<std::pair<std::string, bool>> seen;
  SourceLexer lexer(text);
  for (SourceToken token = lexer.next(); token.kind != SourceToken::Kind::kEnd;
       token = lexer.next()) {
    if (token.kind == SourceToken::Kind::kInclude &&
        seen.insert({token.text, token.angled}).second) {
      includes.push_back({.name = std::move(token.text), .angled = token.angled});
    }
  }
  return includes;
}

}  // namespace fms
