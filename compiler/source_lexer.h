#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fms {

// A token of CUDA C++, as far as declarations and includes need it.
struct SourceToken {
  enum class Kind {
    kIdentifier,
    kNumber,
    kString,   // text is the literal's value, escapes read
    kPunct,    // one character; :: is two tokens
    kInclude,  // a whole #include line; text is the name between the quotes or brackets
    kInvalid,  // an unterminated comment, string or character; text says which
    kEnd,
  };

  Kind kind = Kind::kEnd;
  std::string text;
  bool angled = false;       // kInclude: <name> and not "name"
  bool plain = true;         // kString: no prefix, or just R
  int line = 1, column = 1;  // of its first character, from 1
};

// Cuts CUDA C++ into tokens. Comments, character literals and preprocessor lines other than
// #include are skipped: a declaration behind a false #if is seen, since no macro is expanded.
// A byte-order mark, CRLF and spliced lines are taken as compilers take them.
//
// Never fails: what can't be cut is a kInvalid token, and the next one follows behind it. Time is
// linear in the text, which must outlive the lexer. Not thread-safe.
class SourceLexer {
 public:
  explicit SourceLexer(std::string_view text);

  SourceToken next();

  // How much of the text has been read.
  std::size_t position() const { return at_; }

 private:
  // Inline, as they are called for every character.
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void advance() {
    if (at_ >= text_.size()) return;
    if (text_[at_] == '\n') {
      ++line_;
      column_ = 1;
      line_start_ = true;
    } else {
      ++column_;
    }
    ++at_;
  }
  void advance_to(std::size_t end);  // REQUIRES: at_ <= end <= the text's size
  std::string_view take_word();
  bool at_splice() const {
    return peek() == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'));
  }
  void skip_splice();
  bool skip_blanks();  // false: an unterminated comment
  bool skip_block_comment();
  void skip_line_comment();
  void skip_character();
  bool read_directive(SourceToken& token);
  bool read_include(SourceToken& token);
  void skip_directive_rest();
  SourceToken read_string(SourceToken token);
  SourceToken read_raw_string(SourceToken token);
  SourceToken read_word(SourceToken token);
  SourceToken read_number(SourceToken token);
  SourceToken invalid(SourceToken token, std::string_view what);

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1, column_ = 1;
  int comment_line_ = 1, comment_column_ = 1;  // where the latest block comment begins
  bool line_start_ = true;  // nothing but blanks and comments before this on the line
};

}  // namespace fms
