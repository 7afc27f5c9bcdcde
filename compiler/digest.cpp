#include "compiler/digest.h"

#include <openssl/evp.h>

#include <cstdlib>
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

// SHA-256 has no failure that a caller could act on: only a libcrypto without it, or no memory for
// a few hundred bytes. A wrong key would be worse than no process.
void require(bool ok) {
  if (!ok) std::abort();
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void update(const void* data, std::size_t size) {
    require(EVP_DigestUpdate(context_.get(), data, size) == 1);
  }

  Digest finish() {
    Digest digest;
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), digest.bytes.data(), &size) == 1 &&
            size == digest.bytes.size());
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> context_;
};

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
