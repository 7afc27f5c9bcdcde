#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "compiler/result.h"

namespace fms {

// A SHA-256 value. Cache keys and checksums are digests.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  std::string hex() const;                                // 64 lower-case characters
  static Result<Digest> from_hex(std::string_view text);  // exactly 64 hexadecimal characters

  auto operator<=>(const Digest&) const = default;
};

Digest sha256(std::span<const std::byte> bytes);
Digest sha256(std::string_view text);

// SHA-256 over labelled fields. Each field enters as label, length, bytes, so no two different
// lists of fields feed the hash the same bytes.
//
// Not thread-safe.
class FieldHasher {
 public:
  FieldHasher();
  ~FieldHasher();
  FieldHasher(const FieldHasher&) = delete;
  FieldHasher& operator=(const FieldHasher&) = delete;

  void add(std::string_view label, std::string_view value);
  Digest finish();  // call once, last

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fms

// The first bytes of a digest are as good a hash as any.
template <>
struct std::hash<fms::Digest> {
  std::size_t operator()(const fms::Digest& digest) const noexcept;
};
