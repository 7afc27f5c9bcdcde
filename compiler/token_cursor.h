#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "compiler/parameter.h"
#include "compiler/result.h"
#include "compiler/source_lexer.h"

namespace fms {

// The token that a parser of declarations looks at, and the ways to take it. Includes are skipped.
//
// A take_...() that finds something else fails with kInvalidArgument; the message begins with
// "file:line:column: " and says what was expected, in the words of its argument.
// Not thread-safe. The file's name and text must outlive it.
class TokenCursor {
 public:
  TokenCursor(std::string_view file_name, std::string_view text);

  const SourceToken& token() const { return token_; }
  bool at(SourceToken::Kind kind) const { return token_.kind == kind; }
  bool at(char punct) const;
  void advance();

  std::unexpected<Error> error_at(const SourceToken& token, std::string_view what) const;
  std::unexpected<Error> expected(std::string_view what) const;  // at this token

  Result<void> take(char punct, std::string_view where);
  Result<std::string> take_name(std::string_view what);
  Result<std::string> take_doc();  // adjacent strings are one
  Result<std::int64_t> take_integer(std::string_view what);
  Result<double> take_floating(std::string_view what);
  Result<Value> take_dtype(std::string_view what);

 private:
  std::string_view file_name_;
  SourceLexer lexer_;
  SourceToken token_;
};

// As an error names a token: "'x'", "a string", "the end of the file".
std::string shown(const SourceToken& token);

}  // namespace fms
