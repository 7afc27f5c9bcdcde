#include "runtime/cpu/checked_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace fms::cpu {
namespace {

constexpr unsigned kWordBits = 64;

std::int64_t extend(std::uint64_t word, unsigned bits) {
  const unsigned unused = kWordBits - bits;
  return static_cast<std::int64_t>(word << unused) >> unused;
}

std::uint64_t truncate(std::uint64_t word, unsigned bits) {
  const unsigned unused = kWordBits - bits;
  return word << unused >> unused;
}

bool is_word(const CheckedValue& value) {
  return value.type.is_integer() && value.type.bits() <= kWordBits;
}

}  // namespace

std::string to_text(const CheckedType& type) {
  std::string name(type.name);
  std::erase(name, '\'');
  return name;
}

bool CheckedValue::is_zero() const { return truncate(word, type.bits()) == 0; }

bool CheckedValue::is_negative() const {
  return is_word(*this) && type.is_signed() && extend(word, type.bits()) < 0;
}

std::string to_text(const CheckedValue& value) {
  const unsigned bits = value.type.bits();
  if (is_word(value)) {
    return value.type.is_signed() ? fmt::format("{}", extend(value.word, bits))
                                  : fmt::format("{}", truncate(value.word, bits));
  }
  if (value.type.is_integer() && bits == 2 * kWordBits) {
    std::uint64_t words[2];
    std::memcpy(words, reinterpret_cast<const void*>(value.word), sizeof(words));
    return fmt::format("0x{:016x}{:016x}", words[1], words[0]);
  }
  if (value.type.is_float() && bits == 32) {
    return fmt::format("{}", std::bit_cast<float>(static_cast<std::uint32_t>(value.word)));
  }
  if (value.type.is_float() && bits == 64) {
    return fmt::format("{}", std::bit_cast<double>(value.word));
  }
  return "a value";  // of 16 bits: which of the formats isn't said
}

}  // namespace fms::cpu
