#include "compiler/digest.h"

#include <openssl/sha.h>

#include <cstring>

namespace fms {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The functions of SHA-256 itself, and not EVP: a process's first EVP digest reads OpenSSL's
// configuration and sets up its providers, which took 0.9 ms of the 2 ms in which a new process may
// find its first kernel. They are called old-fashioned since OpenSSL 3, and use the same code and
// the CPU's SHA instructions.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
class Sha256 {
 public:
  Sha256() { SHA256_Init(&state_); }

  void update(const void* data, std::size_t size) { SHA256_Update(&state_, data, size); }

  Digest finish() {
    Digest digest;
    SHA256_Final(digest.bytes.data(), &state_);
    return digest;
  }

 private:
  SHA256_CTX state_;
};
#pragma GCC diagnostic pop

}  // namespace

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

Result<Digest> Digest::from_hex(std::string_view text) {
  Digest digest;
  bool valid = text.size() == 2 * digest.bytes.size();
  for (std::size_t i = 0; valid && i < digest.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  if (!valid) {
    return fail(ErrorCode::kInvalidArgument,
                "can't read a digest: expected 64 hexadecimal characters, got " +
                    std::to_string(text.size()) + " characters \"" +
                    std::string(text.substr(0, 80)) + "\"");
  }
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.finish();
}

Digest sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

struct FieldHasher::State {
  Sha256 hash;

  // Lengths enter as 8 bytes, little-endian, on every machine.
  void add_sized(std::string_view text) {
    std::array<std::uint8_t, 8> size{};
    for (std::size_t i = 0; i < size.size(); ++i) {
      size[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(text.size()) >> (8 * i));
    }
    hash.update(size.data(), size.size());
    hash.update(text.data(), text.size());
  }
};

FieldHasher::FieldHasher() : state_(std::make_unique<State>()) {}
FieldHasher::~FieldHasher() = default;

void FieldHasher::add(std::string_view label, std::string_view value) {
  state_->add_sized(label);
  state_->add_sized(value);
}

Digest FieldHasher::finish() { return state_->hash.finish(); }

}  // namespace fms

std::size_t std::hash<fms::Digest>::operator()(const fms::Digest& digest) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, digest.bytes.data(), sizeof(value));
  return value;
}
