#include "compiler/source_lexer.h"

#include <algorithm>
#include <utility>

namespace fms {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kLongestRawDelimiter = 16;  // as the standard has it

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_word(char c) { return is_word_start(c) || is_digit(c); }

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

// The escapes that documentation uses; any other character stands for itself.
char unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return ' ';
    default:
      return c;
  }
}

}  // namespace

SourceLexer::SourceLexer(std::string_view text) : text_(text) {
  if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
}

// As advance(), many times: most of a text is comments, of which only the lines count.
void SourceLexer::advance_to(std::size_t end) {
  for (;;) {
    const std::size_t newline = text_.substr(at_, end - at_).find('\n');
    if (newline == std::string_view::npos) break;
    ++line_;
    column_ = 1;
    line_start_ = true;
    at_ += newline + 1;
  }
  column_ += static_cast<int>(end - at_);
  at_ = end;
}

std::string_view SourceLexer::take_word() {
  const std::size_t begin = at_;
  while (at_ < text_.size() && is_word(text_[at_])) ++at_;
  column_ += static_cast<int>(at_ - begin);
  return text_.substr(begin, at_ - begin);
}

void SourceLexer::skip_splice() {
  const bool start = line_start_;
  while (peek() != '\n') advance();
  advance();
  line_start_ = start;
}

bool SourceLexer::skip_block_comment() {
  const bool start = line_start_;
  comment_line_ = line_;
  comment_column_ = column_;
  const std::size_t end = text_.find("*/", at_ + 2);
  if (end == std::string_view::npos) {
    advance_to(text_.size());
    return false;
  }
  advance_to(end + 2);
  line_start_ = start;
  return true;
}

void SourceLexer::skip_line_comment() {
  const bool start = line_start_;
  for (;;) {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string_view line = text_.substr(at_, end - at_);
    advance_to(end);
    const bool spliced = line.ends_with('\\') || line.ends_with("\\\r");
    if (end == text_.size() || !spliced) return;
    advance();
    line_start_ = start;
  }
}

bool SourceLexer::skip_blanks() {
  while (at_ < text_.size()) {
    if (is_blank(peek())) {
      advance();
    } else if (at_splice()) {
      skip_splice();
    } else if (peek() == '/' && peek(1) == '/') {
      skip_line_comment();
    } else if (peek() == '/' && peek(1) == '*') {
      if (!skip_block_comment()) return false;
    } else {
      return true;
    }
  }
  return true;
}

SourceToken SourceLexer::invalid(SourceToken token, std::string_view what) {
  token.kind = SourceToken::Kind::kInvalid;
  token.text = what;
  return token;
}

// To the end of the line, or of the lines that splices and comments make one of.
void SourceLexer::skip_directive_rest() {
  while (at_ < text_.size() && peek() != '\n') {
    if (at_splice()) {
      skip_splice();
    } else if (peek() == '/' && peek(1) == '/') {
      skip_line_comment();
    } else if (peek() == '/' && peek(1) == '*') {
      if (!skip_block_comment()) return;
    } else if (peek() == '"') {
      // A // or /* within a macro's string is text.
      advance();
      while (at_ < text_.size() && peek() != '"' && peek() != '\n') {
        if (at_splice()) {
          skip_splice();
        } else {
          if (peek() == '\\') advance();
          if (peek() != '\n') advance();
        }
      }
      if (peek() == '"') advance();
    } else {
      advance();
    }
  }
}

bool SourceLexer::read_include(SourceToken& token) {
  const char open = peek();
  if (open != '"' && open != '<') return false;  // #include MACRO: the compiler will tell
  const char close = open == '<' ? '>' : '"';
  advance();
  std::string name;
  while (at_ < text_.size() && peek() != close && peek() != '\n') {
    name += peek();
    advance();
  }
  if (peek() != close || name.empty()) return false;
  advance();
  token.kind = SourceToken::Kind::kInclude;
  token.angled = open == '<';
  token.text = std::move(name);
  return true;
}

// True if the line is an #include, which `token` then is.
bool SourceLexer::read_directive(SourceToken& token) {
  const auto skip_spaces = [&] {
    while (at_ < text_.size()) {
      if (peek() == ' ' || peek() == '\t' || peek() == '\r') {
        advance();
      } else if (at_splice()) {
        skip_splice();
      } else if (peek() == '/' && peek(1) == '*') {
        if (!skip_block_comment()) return;
      } else {
        return;
      }
    }
  };
  advance();
  skip_spaces();
  const std::string_view word = take_word();
  skip_spaces();
  const bool include = word == "include" && read_include(token);
  skip_directive_rest();
  return include;
}

SourceToken SourceLexer::read_string(SourceToken token) {
  token.kind = SourceToken::Kind::kString;
  advance();
  while (at_ < text_.size() && peek() != '"') {
    if (peek() == '\n') return invalid(std::move(token), "a string that isn't closed on its line");
    if (at_splice()) {
      skip_splice();
    } else if (peek() == '\\') {
      advance();
      token.text += unescaped(peek());
      advance();
    } else {
      token.text += peek();
      advance();
    }
  }
  if (at_ >= text_.size()) return invalid(std::move(token), "a string that isn't closed");
  advance();
  return token;
}

SourceToken SourceLexer::read_raw_string(SourceToken token) {
  token.kind = SourceToken::Kind::kString;
  advance();  // the quote
  std::string close = ")";
  while (at_ < text_.size() && peek() != '(') {
    if (close.size() > kLongestRawDelimiter || peek() == '\n') {
      return invalid(std::move(token), "a raw string whose delimiter is too long");
    }
    close += peek();
    advance();
  }
  close += '"';
  advance();
  const std::size_t end = text_.find(close, at_);
  if (end == std::string_view::npos) {
    return invalid(std::move(token), "a raw string that isn't closed");
  }
  token.text = text_.substr(at_, end - at_);
  while (at_ < end + close.size()) advance();
  line_start_ = false;
  return token;
}

// Skips a literal like 'a' or '\''; one that isn't closed ends with its line.
void SourceLexer::skip_character() {
  advance();
  while (at_ < text_.size() && peek() != '\'' && peek() != '\n') {
    if (peek() == '\\' && peek(1) != '\n') advance();
    advance();
  }
  if (peek() == '\'') advance();
}

SourceToken SourceLexer::read_word(SourceToken token) {
  token.kind = SourceToken::Kind::kIdentifier;
  token.text = take_word();
  if (peek() != '"') return token;
  const std::string& prefix = token.text;
  const bool raw =
      prefix == "R" || prefix == "u8R" || prefix == "uR" || prefix == "UR" || prefix == "LR";
  const bool encoded = prefix == "u8" || prefix == "u" || prefix == "U" || prefix == "L";
  if (!raw && !encoded) return token;
  token.plain = prefix == "R";
  token.text.clear();
  return raw ? read_raw_string(std::move(token)) : read_string(std::move(token));
}

SourceToken SourceLexer::read_number(SourceToken token) {
  token.kind = SourceToken::Kind::kNumber;
  const auto takes_sign = [](char c) { return c == 'e' || c == 'E' || c == 'p' || c == 'P'; };
  const bool hexadecimal = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
  while (is_word(peek()) || peek() == '.' || (peek() == '\'' && is_word(peek(1)))) {
    const char c = peek();
    advance();
    if (c == '\'') continue;  // a digit separator
    token.text += c;
    const bool exponent = hexadecimal ? c == 'p' || c == 'P' : takes_sign(c);
    if (exponent && (peek() == '+' || peek() == '-')) {
      token.text += peek();
      advance();
    }
  }
  return token;
}

SourceToken SourceLexer::next() {
  for (;;) {
    const bool closed = skip_blanks();
    SourceToken token;
    token.line = line_;
    token.column = column_;
    if (!closed) {
      token.line = comment_line_;
      token.column = comment_column_;
      return invalid(std::move(token), "a comment that isn't closed");  // at the end now
    }
    if (at_ >= text_.size()) return token;
    const char c = peek();
    if (c == '#' && line_start_) {
      line_start_ = false;
      if (read_directive(token)) return token;
      continue;
    }
    line_start_ = false;
    if (c == '"') return read_string(std::move(token));
    if (c == '\'') {
      skip_character();
      continue;
    }
    if (is_word_start(c)) return read_word(std::move(token));
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return read_number(std::move(token));
    token.kind = SourceToken::Kind::kPunct;
    token.text = c;
    advance();
    return token;
  }
}

}  // namespace fms
