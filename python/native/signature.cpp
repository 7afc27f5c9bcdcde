#include "python/native/signature.h"

#include <dlpack/dlpack.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>

#include "compiler/source_lexer.h"

namespace fms::python {
namespace {

using Kind = SourceToken::Kind;
using Tokens = std::span<const SourceToken>;

struct NamedType {
  std::string_view name;
  NumberType type;
};

constexpr std::array kNamedTypes{
    NamedType{"int8_t", {kDLInt, 8}},
    NamedType{"uint8_t", {kDLUInt, 8}},
    NamedType{"int16_t", {kDLInt, 16}},
    NamedType{"uint16_t", {kDLUInt, 16}},
    NamedType{"int32_t", {kDLInt, 32}},
    NamedType{"uint32_t", {kDLUInt, 32}},
    NamedType{"int64_t", {kDLInt, 64}},
    NamedType{"uint64_t", {kDLUInt, 64}},
    NamedType{"size_t", {kDLUInt, 64}},
    NamedType{"ptrdiff_t", {kDLInt, 64}},
    NamedType{"half", {kDLFloat, 16}},
    NamedType{"__half", {kDLFloat, 16}},
    NamedType{"nv_bfloat16", {kDLBfloat, 16}},
    NamedType{"__nv_bfloat16", {kDLBfloat, 16}},
    NamedType{"__nv_fp8_e4m3", {kDLFloat8_e4m3fn, 8}},
    NamedType{"__nv_fp8_e5m2", {kDLFloat8_e5m2, 8}},
};

bool is(const SourceToken& token, std::string_view text) {
  return (token.kind == Kind::kIdentifier || token.kind == Kind::kPunct) && token.text == text;
}

// Words in front of a type that don't change what is passed.
bool is_qualifier(const SourceToken& token) {
  static constexpr std::array<std::string_view, 8> kWords{
      "volatile", "__restrict__", "__restrict", "restrict",
      "struct",   "class",        "enum",       "__grid_constant__"};
  return token.kind == Kind::kIdentifier && std::ranges::find(kWords, token.text) != kWords.end();
}

// The fundamental type that these words name in any order: "unsigned long long".
std::optional<NumberType> fundamental(const std::vector<std::string>& words) {
  const auto count = [&](std::string_view word) { return std::ranges::count(words, word); };
  static constexpr std::array<std::string_view, 9> kWords{
      "unsigned", "signed", "char", "short", "int", "long", "float", "double", "bool"};
  for (const std::string& word : words) {
    if (std::ranges::find(kWords, word) == kWords.end()) return std::nullopt;
  }
  if (words.empty()) return std::nullopt;
  if (count("bool")) return NumberType{kDLBool, 8};
  if (count("float")) return NumberType{kDLFloat, 32};
  if (count("double")) {
    // long double has no place on a device
    return count("long") ? std::nullopt : std::optional(NumberType{kDLFloat, 64});
  }
  const auto code = static_cast<std::uint8_t>(count("unsigned") ? kDLUInt : kDLInt);
  if (count("char")) return NumberType{code, 8};
  if (count("short")) return NumberType{code, 16};
  if (count("long")) return NumberType{code, 64};
  return NumberType{code, 32};
}

// Reads the declarations of one file.
class SignatureReader {
 public:
  explicit SignatureReader(const KernelTemplate& kernel_template) : template_(kernel_template) {}

  std::optional<std::vector<KernelParameter>> read() {
    SourceLexer lexer(template_.text());
    for (SourceToken token = lexer.next(); token.kind != Kind::kEnd; token = lexer.next()) {
      if (token.kind != Kind::kInclude) tokens_.push_back(std::move(token));
    }
    const Tokens all(tokens_);
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      if (is(all[i], "using")) note_alias(i);
      if (is(all[i], template_.name()) && is(all[i + 1], "(") && is_kernel(i)) {
        return read_list(i + 2);
      }
    }
    return std::nullopt;
  }

 private:
  // Whether __global__ stands in front of this name, in the same declaration.
  bool is_kernel(std::size_t name) const {
    for (std::size_t i = name; i-- > 0;) {
      const SourceToken& token = tokens_[i];
      if (is(token, "__global__")) return true;
      if (is(token, ";") || is(token, "{") || is(token, "}")) return false;
    }
    return false;
  }

  // using Name = type;
  void note_alias(std::size_t at) {
    if (at + 3 >= tokens_.size() || !is(tokens_[at + 2], "=")) return;
    std::vector<SourceToken> type;
    for (std::size_t i = at + 3; i < tokens_.size() && !is(tokens_[i], ";"); ++i) {
      type.push_back(tokens_[i]);
    }
    aliases_[tokens_[at + 1].text] = std::move(type);
  }

  std::optional<std::vector<KernelParameter>> read_list(std::size_t at) {
    std::vector<KernelParameter> parameters;
    std::vector<SourceToken> one;
    int depth = 0;
    for (std::size_t i = at; i < tokens_.size(); ++i) {
      const SourceToken& token = tokens_[i];
      if (depth == 0 && is(token, ")")) {
        const bool none = one.empty() || (one.size() == 1 && is(one[0], "void"));
        if (!none) parameters.push_back(read_one(one));
        return parameters;
      }
      if (is(token, "(") || is(token, "<") || is(token, "[") || is(token, "{")) ++depth;
      if (is(token, ")") || is(token, ">") || is(token, "]") || is(token, "}")) --depth;
      if (depth == 0 && is(token, ",")) {
        parameters.push_back(read_one(one));
        one.clear();
      } else {
        one.push_back(token);
      }
    }
    return std::nullopt;
  }

  KernelParameter read_one(std::vector<SourceToken> tokens) const {
    KernelParameter parameter;
    const bool is_array = std::ranges::any_of(tokens, [](const auto& t) { return is(t, "["); });
    if (is_array) {
      const auto open = std::ranges::find_if(tokens, [](const auto& t) { return is(t, "["); });
      tokens.erase(open, tokens.end());
      parameter.is_pointer = true;
    }
    std::erase_if(tokens, is_qualifier);
    take_name(tokens, parameter);
    parameter.text = written(tokens) + (is_array ? "[]" : "");
    read_type(tokens, parameter, 0);
    return parameter;
  }

  // The last word is the name if a type stands in front of it.
  static void take_name(std::vector<SourceToken>& tokens, KernelParameter& parameter) {
    if (tokens.size() < 2 || tokens.back().kind != Kind::kIdentifier) return;
    const SourceToken& before = tokens[tokens.size() - 2];
    if (is(before, ":") || (is(before, "const") && tokens.size() == 2)) return;
    static constexpr std::array<std::string_view, 7> kTypeWords{"int",   "long",   "char", "short",
                                                                "float", "double", "bool"};
    if (std::ranges::find(kTypeWords, tokens.back().text) != kTypeWords.end()) return;
    parameter.name = tokens.back().text;
    tokens.pop_back();
  }

  void read_type(Tokens tokens, KernelParameter& parameter, int depth) const {
    std::vector<std::string> words;
    std::size_t stars = parameter.is_pointer ? 1 : 0;
    bool understood = true;
    for (const SourceToken& token : tokens) {
      if (is(token, "*")) {
        ++stars;
      } else if (is(token, "const")) {
        if (stars == 0 || (parameter.is_pointer && stars == 1)) parameter.is_const = true;
      } else if (token.kind == Kind::kIdentifier) {
        if (token.text != "std") words.push_back(token.text);
      } else if (!is(token, ":")) {
        understood = false;  // a reference, a template's arguments, a function pointer
      }
    }
    parameter.is_pointer = stars > 0;
    if (!understood || stars > 1 || words.empty()) return;
    set_type(words, parameter, depth);
  }

  void set_type(const std::vector<std::string>& words, KernelParameter& parameter,
                int depth) const {
    if (const auto type = fundamental(words)) {
      // char is how C++ spells bytes: a pointer to it takes any array.
      const bool is_char = std::ranges::find(words, "char") != words.end();
      if (!(parameter.is_pointer && is_char)) parameter.type = type;
      return;
    }
    if (words.size() != 1) return;
    const std::string& word = words[0];
    for (const NamedType& named : kNamedTypes) {
      if (named.name == word) parameter.type = named.type;
    }
    for (const Parameter& declared : template_.parameters()) {
      if (declared.kind == ParameterKind::kDType && declared.name == word) {
        parameter.type_parameter = word;
      }
      if (declared.kind == ParameterKind::kEnum && declared.enum_type == word) {
        parameter.type = NumberType{kDLInt, 32};
      }
    }
    constexpr int kDeepest = 8;  // an alias of itself is the compiler's to report
    if (const auto alias = aliases_.find(word); alias != aliases_.end() && depth < kDeepest) {
      read_type(alias->second, parameter, depth + 1);
    }
  }

  static std::string written(Tokens tokens) {
    std::string text;
    for (const SourceToken& token : tokens) {
      const bool apart = token.kind == Kind::kIdentifier && !text.empty() && text.back() != ':';
      text += (apart ? " " : "") + token.text;
    }
    return text;
  }

  const KernelTemplate& template_;
  std::vector<SourceToken> tokens_;
  std::map<std::string, std::vector<SourceToken>> aliases_;
};

}  // namespace

std::string to_string(NumberType type) {
  switch (type.code) {
    case kDLInt:
      return fmt::format("int{}", type.bits);
    case kDLUInt:
      return fmt::format("uint{}", type.bits);
    case kDLFloat:
      return fmt::format("float{}", type.bits);
    case kDLBfloat:
      return fmt::format("bfloat{}", type.bits);
    case kDLComplex:
      return fmt::format("complex{}", type.bits);
    case kDLBool:
      return "bool";
    case kDLFloat8_e4m3fn:
      return "float8_e4m3fn";
    case kDLFloat8_e5m2:
      return "float8_e5m2";
    default:
      return fmt::format("a type of DLPack's code {} with {} bits", type.code, type.bits);
  }
}

NumberType number_type_of(DType dtype) {
  const auto bits = static_cast<std::uint8_t>(8 * size_of(dtype));
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kFloat64:
      return {kDLFloat, bits};
    case DType::kBFloat16:
      return {kDLBfloat, bits};
    case DType::kFloat8E4M3:
      return {kDLFloat8_e4m3fn, bits};
    case DType::kFloat8E5M2:
      return {kDLFloat8_e5m2, bits};
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64:
      return {kDLInt, bits};
    case DType::kUInt8:
    case DType::kUInt32:
    case DType::kUInt64:
      return {kDLUInt, bits};
    case DType::kBool:
      break;
  }
  return {kDLBool, 8};
}

std::optional<std::vector<KernelParameter>> read_parameters(const KernelTemplate& kernel_template) {
  return SignatureReader(kernel_template).read();
}

std::vector<KernelParameter> resolve(std::vector<KernelParameter> parameters,
                                     const Specialization& specialization) {
  for (KernelParameter& parameter : parameters) {
    if (parameter.type_parameter.empty()) continue;
    parameter.type = number_type_of(specialization.value(parameter.type_parameter).as_dtype());
  }
  return parameters;
}

}  // namespace fms::python
