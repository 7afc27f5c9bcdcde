#include "compiler/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace fms {
namespace {

template <typename Integer>
std::optional<Integer> read_integer(std::span<const std::byte> bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Integer)) return std::nullopt;
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>(value | static_cast<Integer>(bytes[offset + i]) << (8 * i));
  }
  return value;
}

// A copy, since nothing says that the bytes are aligned.
template <typename Record>
std::optional<Record> read_record(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Record)) return std::nullopt;
  Record record;
  std::memcpy(&record, bytes.data() + offset, sizeof(Record));
  return record;
}

std::optional<std::span<const std::byte>> slice(std::span<const std::byte> bytes,
                                                std::uint64_t offset, std::uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size) return std::nullopt;
  return bytes.subspan(offset, size);
}

// The zero-terminated text at `offset`; empty if it isn't within.
std::string_view text_at(std::span<const std::byte> strings, std::uint64_t offset) {
  if (offset >= strings.size()) return {};
  const auto rest = strings.subspan(offset);
  const auto end = std::ranges::find(rest, std::byte{0});
  if (end == rest.end()) return {};
  return {reinterpret_cast<const char*>(rest.data()), static_cast<std::size_t>(end - rest.begin())};
}

}  // namespace

std::optional<std::uint16_t> read_u16(std::span<const std::byte> bytes, std::size_t offset) {
  return read_integer<std::uint16_t>(bytes, offset);
}

std::optional<std::uint32_t> read_u32(std::span<const std::byte> bytes, std::size_t offset) {
  return read_integer<std::uint32_t>(bytes, offset);
}

std::optional<std::uint64_t> read_u64(std::span<const std::byte> bytes, std::size_t offset) {
  return read_integer<std::uint64_t>(bytes, offset);
}

std::optional<ElfFile> ElfFile::parse(std::span<const std::byte> bytes) {
  const auto header = read_record<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_shentsize != sizeof(Elf64_Shdr)) {
    return std::nullopt;
  }
  // The segments' table is the last of a cubin: with it inside, the file is whole.
  const std::uint64_t segments = std::uint64_t{header->e_phnum} * header->e_phentsize;
  if (!slice(bytes, header->e_phoff, segments)) return std::nullopt;
  std::vector<Elf64_Shdr> headers;
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const std::uint64_t offset = i * sizeof(Elf64_Shdr);
    if (header->e_shoff > bytes.size()) return std::nullopt;
    const auto section = read_record<Elf64_Shdr>(bytes, header->e_shoff + offset);
    if (!section) return std::nullopt;
    headers.push_back(*section);
  }
  if (header->e_shstrndx >= headers.size()) return std::nullopt;
  const Elf64_Shdr& names = headers[header->e_shstrndx];
  const auto strings = slice(bytes, names.sh_offset, names.sh_size);
  if (!strings) return std::nullopt;

  ElfFile file;
  file.machine_ = header->e_machine;
  for (const Elf64_Shdr& section : headers) {
    std::span<const std::byte> content;
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL) {
      const auto found = slice(bytes, section.sh_offset, section.sh_size);
      if (!found) return std::nullopt;
      content = *found;
    }
    file.sections_.push_back({.name = text_at(*strings, section.sh_name),
                              .type = section.sh_type,
                              .info = section.sh_info,
                              .size = section.sh_size,
                              .bytes = content});
  }
  return file;
}

const ElfFile::Section* ElfFile::find(std::string_view name) const {
  const auto found = std::ranges::find(sections_, name, &Section::name);
  return found == sections_.end() ? nullptr : &*found;
}

std::string_view ElfFile::symbol_name(std::uint32_t index) const {
  const Section* symbols = find(".symtab");
  const Section* strings = find(".strtab");
  if (symbols == nullptr || strings == nullptr) return {};
  const auto symbol =
      read_record<Elf64_Sym>(symbols->bytes, std::uint64_t{index} * sizeof(Elf64_Sym));
  return symbol ? text_at(strings->bytes, symbol->st_name) : std::string_view();
}

}  // namespace fms
