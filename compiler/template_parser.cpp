#include "compiler/template_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "compiler/declaration_reader.h"
#include "compiler/token_cursor.h"

namespace fms {
namespace {

using Kind = SourceToken::Kind;

// Bounds that no sensible template reaches; they keep a hostile file's cost small.
constexpr std::size_t kLongestText = std::size_t{4} << 20;
constexpr std::size_t kLongestEntry = 128;

// Walks a file's top level, where declarations and kernels stand.
class TemplateScanner {
 public:
  TemplateScanner(std::string_view file_name, std::string_view text)
      : cursor_(file_name, text), reader_(cursor_, result_) {}

  Result<TemplateDeclarations> scan();

 private:
  struct Scope {
    bool is_namespace = false;  // namespace {} or extern "C" {}: declarations are allowed
    bool is_extern_c = false;
  };

  bool in_namespace() const { return scopes_.empty() || scopes_.back().is_namespace; }
  bool in_extern_c() const { return !scopes_.empty() && scopes_.back().is_extern_c; }
  void open_scope();
  void note_entry();
  Result<void> parse_identifier_at_start();

  TokenCursor cursor_;
  TemplateDeclarations result_;
  DeclarationReader reader_;
  std::vector<Scope> scopes_;
  std::vector<SourceToken> declaration_;  // tokens since the last declaration, in a namespace
};

Result<TemplateDeclarations> TemplateScanner::scan() {
  while (!cursor_.at(Kind::kEnd)) {
    if (cursor_.at(Kind::kInvalid))
      return cursor_.error_at(cursor_.token(), "found " + cursor_.token().text);
    if (cursor_.at('{')) {
      open_scope();
    } else if (cursor_.at('}')) {
      // One too many is the compiler's to report: it knows which macros hide a brace.
      if (!scopes_.empty()) scopes_.pop_back();
      declaration_.clear();
    } else if (cursor_.at(Kind::kIdentifier) && cursor_.token().text.starts_with("FMS_")) {
      FMS_TRY_VOID(parse_identifier_at_start());
      continue;
    } else if (in_namespace()) {
      if (cursor_.at(';')) {
        note_entry();
        declaration_.clear();
      } else {
        declaration_.push_back(cursor_.token());
      }
    }
    cursor_.advance();
  }
  return std::move(result_);
}

// A declaration, or an identifier that merely begins like one: only the former is followed by a
// parenthesis at the start of a declaration.
Result<void> TemplateScanner::parse_identifier_at_start() {
  const SourceToken macro = cursor_.token();
  cursor_.advance();
  const bool known = std::ranges::find(kDeclarationNames, macro.text) != kDeclarationNames.end();
  if (!cursor_.at('(') || (!known && !(in_namespace() && declaration_.empty()))) {
    if (in_namespace()) declaration_.push_back(macro);
    return {};
  }
  if (!known) {
    return cursor_.error_at(macro, fmt::format("no declaration is named {}; there are {}",
                                               macro.text, fmt::join(kDeclarationNames, ", ")));
  }
  if (!in_namespace() || !declaration_.empty()) {
    return cursor_.error_at(macro, macro.text +
                                       " stands inside another declaration; move it to the top "
                                       "level of the file, behind a ; or }");
  }
  return reader_.read(macro);
}

void TemplateScanner::open_scope() {
  Scope scope{.is_namespace = false, .is_extern_c = in_extern_c()};
  if (in_namespace()) {
    const auto word = [&](std::size_t i, std::string_view text) {
      return i < declaration_.size() && declaration_[i].kind == Kind::kIdentifier &&
             declaration_[i].text == text;
    };
    const bool linkage =
        declaration_.size() == 2 && word(0, "extern") && declaration_[1].kind == Kind::kString;
    scope.is_namespace =
        linkage || word(0, "namespace") || (word(0, "inline") && word(1, "namespace"));
    if (linkage) scope.is_extern_c = declaration_[1].text == "C";
    if (!scope.is_namespace) note_entry();
    declaration_.clear();
  }
  scopes_.push_back(scope);
}

// Keeps the name if the declaration is an extern "C" kernel: the last identifier in front of a
// parenthesis, outside of others, that isn't an attribute (__launch_bounds__ and its like).
void TemplateScanner::note_entry() {
  bool is_extern_c = in_extern_c();
  bool is_global = false;
  int depth = 0;
  std::string_view name;
  for (std::size_t i = 0; i < declaration_.size(); ++i) {
    const SourceToken& token = declaration_[i];
    const SourceToken* next = i + 1 < declaration_.size() ? &declaration_[i + 1] : nullptr;
    if (token.kind == Kind::kPunct) {
      if (token.text == "(") ++depth;
      if (token.text == ")") --depth;
    }
    if (token.kind != Kind::kIdentifier || depth != 0 || next == nullptr) continue;
    is_global = is_global || token.text == "__global__";
    if (token.text == "extern" && next->kind == Kind::kString) is_extern_c = next->text == "C";
    const bool called = next->kind == Kind::kPunct && next->text == "(";
    if (called && !token.text.starts_with("__")) name = token.text;
  }
  if (!is_extern_c || !is_global || name.empty() || name.size() > kLongestEntry) return;
  if (std::ranges::find(result_.entries, name) == result_.entries.end()) {
    result_.entries.emplace_back(name);
  }
}

}  // namespace

Result<TemplateDeclarations> parse_declarations(std::string_view file_name, std::string_view text) {
  if (text.size() > kLongestText) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:1:1: a template of {} bytes; at most {} are read", file_name,
                            text.size(), kLongestText));
  }
  return TemplateScanner(file_name, text).scan();
}

}  // namespace fms
