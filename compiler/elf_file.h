#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace fms {

// The sections of a 64-bit little-endian ELF file: cubins and the libraries of x86-64 and AArch64.
//
// Every offset is checked against the file, so that no input makes it read beyond: what doesn't fit
// is nothing. A view of the bytes given, which must outlive it.
class ElfFile {
 public:
  struct Section {
    std::string_view name;
    std::uint32_t type = 0;
    std::uint32_t info = 0;
    std::uint64_t size = 0;            // also of a section that occupies no bytes in the file
    std::span<const std::byte> bytes;  // empty for such a section
  };

  // Nothing if the bytes aren't such a file, or a section lies outside it.
  static std::optional<ElfFile> parse(std::span<const std::byte> bytes);

  std::uint16_t machine() const { return machine_; }
  const std::vector<Section>& sections() const { return sections_; }
  const Section* find(std::string_view name) const;  // null: none of that name

  // Name of a symbol of .symtab; empty if there is none.
  std::string_view symbol_name(std::uint32_t index) const;

 private:
  std::uint16_t machine_ = 0;
  std::vector<Section> sections_;
};

// Reads an integer of the file's byte order at `offset`; nothing if it lies outside.
std::optional<std::uint16_t> read_u16(std::span<const std::byte> bytes, std::size_t offset);
std::optional<std::uint32_t> read_u32(std::span<const std::byte> bytes, std::size_t offset);
std::optional<std::uint64_t> read_u64(std::span<const std::byte> bytes, std::size_t offset);

}  // namespace fms
