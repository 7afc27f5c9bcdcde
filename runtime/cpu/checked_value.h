#pragma once

// Internal. Not installed.

#include <cstdint>
#include <string>

namespace fms::cpu {

// How clang describes a type to the functions that report undefined behaviour.
struct CheckedType {
  std::uint16_t kind;  // 0: integer, 1: floating point, else something else
  std::uint16_t info;  // integer: bit 0: signed, the rest: log2 of the bits; floating point: bits
  char name[1];        // up to a 0: "'int'"

  bool is_integer() const { return kind == 0; }
  bool is_float() const { return kind == 1; }
  bool is_signed() const { return is_integer() && (info & 1) != 0; }
  unsigned bits() const { return is_integer() ? 1u << (info >> 1) : info; }
};

// "int": without the quotes.
std::string to_text(const CheckedType& type);

// A value as clang passes it: itself if it has up to 64 bits, else its address.
struct CheckedValue {
  const CheckedType& type;
  std::uint64_t word;

  bool is_zero() const;      // REQUIRES: an integer of up to 64 bits
  bool is_negative() const;  // false if it isn't an integer of up to 64 bits
};

// "-7", "0.5", "0x00000000000000010000000000000000"; "a value" if it can't be said.
std::string to_text(const CheckedValue& value);

}  // namespace fms::cpu
