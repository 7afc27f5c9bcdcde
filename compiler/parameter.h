#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/dtype.h"
#include "compiler/result.h"

namespace fms {

// What a parameter may hold. A size is an integer that may also be *dynamic*: then it is a run-time
// argument of the kernel instead of a constant in it (design.md, Exact or dynamic).
enum class ParameterKind : std::uint8_t { kInt, kBool, kFloat, kDType, kEnum, kSize };

std::string_view to_string(ParameterKind kind);  // "int", "bool", "float", "dtype", "enum", "size"

// One value of a parameter, 16 bytes, compared bit by bit.
class Value {
 public:
  static Value integer(std::int64_t value) { return {Tag::kInteger, value}; }
  static Value boolean(bool value) { return {Tag::kBoolean, value ? 1 : 0}; }
  static Value floating(double value);
  static Value dtype(DType value) { return {Tag::kDType, static_cast<std::int64_t>(value)}; }
  static Value choice(int index) { return {Tag::kChoice, index}; }  // of Parameter::choices
  static Value dynamic() { return {Tag::kDynamic, 0}; }

  bool is_integer() const { return tag_ == Tag::kInteger; }
  bool is_boolean() const { return tag_ == Tag::kBoolean; }
  bool is_floating() const { return tag_ == Tag::kFloating; }
  bool is_dtype() const { return tag_ == Tag::kDType; }
  bool is_choice() const { return tag_ == Tag::kChoice; }
  bool is_dynamic() const { return tag_ == Tag::kDynamic; }

  // Each REQUIRES the value to be of that type.
  std::int64_t as_integer() const { return bits_; }
  bool as_boolean() const { return bits_ != 0; }
  double as_floating() const;
  DType as_dtype() const { return static_cast<DType>(bits_); }
  int as_choice() const { return static_cast<int>(bits_); }

  // Mixes tag and bits; for hash tables.
  std::uint64_t hash() const;

  bool operator==(const Value&) const = default;

 private:
  enum class Tag : std::uint8_t { kInteger, kBoolean, kFloating, kDType, kChoice, kDynamic };
  Value(Tag tag, std::int64_t bits) : tag_(tag), bits_(bits) {}

  Tag tag_;
  std::int64_t bits_;
};

// One named, typed, constrained, documented value that a template is specialised by. Declared once,
// in the template's own file (compiler/README.md has the grammar):
//
//   FMS_INT(kBlock, 256, "threads of a block", range(32, 1024), divisible(32));
struct Parameter {
  std::string name;  // as device code spells it: "kBlock", "T"
  ParameterKind kind = ParameterKind::kInt;
  std::string doc;
  std::string enum_type;  // kEnum: the C++ type's name
  Value default_value = Value::integer(0);
  std::optional<std::int64_t> minimum, maximum;  // kInt and kSize, inclusive
  std::int64_t divisor = 1;                      // kInt and kSize: values are multiples of it
  std::vector<Value> allowed;                    // kInt and kDType: any of these; empty: no limit
  std::vector<std::string> choices;              // kEnum: the enumerators, in order
  int line = 0;                                  // where it is declared

  // Reads a value from text ("256", "true", "0.125", "bfloat16", "kCausal", "dynamic"). Doesn't
  // check constraints. An enumerator may be written without its k, in any case: "causal",
  // "causal_top_left".
  Result<Value> parse(std::string_view text) const;

  // Checks type and constraints. The error names parameter, value and what is allowed.
  Result<void> check(const Value& value) const;

  // As parse() reads it back, exactly.
  std::string to_string(const Value& value) const;

  // "int, 32..1024, a multiple of 32, default 256": for --help and errors.
  std::string describe() const;
};

}  // namespace fms
