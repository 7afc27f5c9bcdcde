#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/elf_file.h"
#include "compiler/object_code.h"

namespace fms {
namespace {

constexpr std::uint16_t kMachineCuda = 190;

// Attributes of the .nv.info sections. NVIDIA documents none of them; these meanings were checked
// against what ptxas prints, for sm_75 to sm_121 (cubin_test.cpp does so at every build).
constexpr std::uint8_t kMaxThreads = 0x05;       // x, y, z: __launch_bounds__
constexpr std::uint8_t kRequiredThreads = 0x10;  // x, y, z: .reqntid
constexpr std::uint8_t kFrameSize = 0x11;        // symbol, bytes: the function's own frame
constexpr std::uint8_t kMinStackSize = 0x12;     // symbol, bytes: with the frames of callees
constexpr std::uint8_t kParameter = 0x17;        // index, ordinal, offset, size in bits 18..31
constexpr std::uint8_t kRegisters = 0x2f;        // symbol, count
constexpr std::uint8_t kParameterLarge = 0x45;   // index, ordinal, offset, 16-bit size: over 4 KiB

constexpr std::uint8_t kSizedFormat = 0x04;  // a 16-bit length and as many bytes; else 2 bytes

// sm_90 and later set the first KiB of a block's shared memory aside for the system. It is counted
// in the section's size, but is neither the kernel's nor in what ptxas and the driver report.
constexpr std::uint64_t kReservedSharedBytes = 1024;

struct Attribute {
  std::uint8_t id = 0;
  std::span<const std::byte> bytes;
};

// Cuts a .nv.info section; stops at what doesn't fit.
std::vector<Attribute> attributes_of(std::span<const std::byte> section) {
  std::vector<Attribute> attributes;
  std::size_t at = 0;
  while (section.size() - at >= 4) {
    const auto format = static_cast<std::uint8_t>(section[at]);
    const auto id = static_cast<std::uint8_t>(section[at + 1]);
    const std::size_t length = format == kSizedFormat ? *read_u16(section, at + 2) : 0;
    at += 4;
    if (section.size() - at < length) break;
    attributes.push_back({.id = id, .bytes = section.subspan(at, length)});
    at += length;
  }
  return attributes;
}

// Stack sizes that ptxas can't know, under recursion, are all ones.
int to_int(std::uint64_t value) {
  return value > std::numeric_limits<int>::max() ? 0 : static_cast<int>(value);
}

int thread_count(std::span<const std::byte> bytes) {
  std::uint64_t count = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto extent = read_u32(bytes, 4 * i);
    // No block has more than 1024 threads; the bound keeps the product small.
    if (!extent || *extent == 0 || *extent > 1024) return 0;
    count *= *extent;
  }
  return to_int(count);
}

struct OrdinalLayout {
  std::uint16_t ordinal = 0;
  ParameterLayout layout;
};

std::optional<OrdinalLayout> read_parameter(const Attribute& attribute) {
  const auto ordinal = read_u16(attribute.bytes, 4);
  const auto offset = read_u16(attribute.bytes, 6);
  const auto packed = read_u32(attribute.bytes, 8);
  if (!ordinal || !offset || !packed) return std::nullopt;
  const std::uint32_t size = attribute.id == kParameter ? *packed >> 18 : *packed & 0xffff;
  return OrdinalLayout{.ordinal = *ordinal, .layout = {.offset = *offset, .size = size}};
}

// Attributes of this kernel alone, from .nv.info.<entry>.
Result<void> read_own_attributes(std::span<const std::byte> section, Resources& resources) {
  std::vector<OrdinalLayout> parameters;
  for (const Attribute& attribute : attributes_of(section)) {
    if (attribute.id == kMaxThreads || attribute.id == kRequiredThreads) {
      resources.max_threads = thread_count(attribute.bytes);
    } else if (attribute.id == kParameter || attribute.id == kParameterLarge) {
      const auto parameter = read_parameter(attribute);
      if (!parameter) return fail(ErrorCode::kCorrupt, "a parameter record is cut short");
      parameters.push_back(*parameter);
    }
  }
  // ptxas writes the last parameter first.
  std::ranges::sort(parameters, {}, &OrdinalLayout::ordinal);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].ordinal != i) {
      return fail(ErrorCode::kCorrupt, fmt::format("no record of parameter {}", i));
    }
    resources.parameters.push_back(parameters[i].layout);
  }
  return {};
}

// Attributes that .nv.info lists for all functions, by symbol.
void read_shared_attributes(const ElfFile& file, std::span<const std::byte> section,
                            std::string_view entry, Resources& resources) {
  for (const Attribute& attribute : attributes_of(section)) {
    if (attribute.id != kRegisters && attribute.id != kFrameSize && attribute.id != kMinStackSize) {
      continue;
    }
    const auto symbol = read_u32(attribute.bytes, 0);
    const auto value = read_u32(attribute.bytes, 4);
    if (!symbol || !value || file.symbol_name(*symbol) != entry) continue;
    if (attribute.id == kRegisters) {
      resources.registers = to_int(*value);
    } else {
      resources.stack_bytes = std::max(resources.stack_bytes, to_int(*value));
    }
  }
}

int static_shared_bytes(const ElfFile& file, std::string_view entry) {
  const ElfFile::Section* section = file.find(fmt::format(".nv.shared.{}", entry));
  if (section == nullptr) return 0;
  const bool counts_reserved = file.find(".nv.shared.reserved.0") != nullptr;
  const std::uint64_t reserved = counts_reserved ? kReservedSharedBytes : 0;
  return section->size > reserved ? to_int(section->size - reserved) : 0;
}

std::string kernel_names(const ElfFile& file) {
  std::vector<std::string_view> names;
  constexpr std::string_view kPrefix = ".nv.info.";
  for (const ElfFile::Section& section : file.sections()) {
    if (section.name.starts_with(kPrefix)) names.push_back(section.name.substr(kPrefix.size()));
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Result<Resources> read_cubin(const std::vector<std::byte>& cubin, std::string_view entry) {
  const std::optional<ElfFile> file = ElfFile::parse(cubin);
  if (!file || file->machine() != kMachineCuda) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("can't read the object code of {}: {} bytes that aren't a cubin", entry,
                            cubin.size()));
  }
  const ElfFile::Section* text = file->find(fmt::format(".text.{}", entry));
  const ElfFile::Section* own = file->find(fmt::format(".nv.info.{}", entry));
  const ElfFile::Section* shared = file->find(".nv.info");
  if (text == nullptr || entry.empty()) {
    return fail(ErrorCode::kNotFound, fmt::format("the object code has no kernel {}; it has {}",
                                                  entry, kernel_names(*file)));
  }
  Resources resources;
  if (own != nullptr) {
    if (auto read = read_own_attributes(own->bytes, resources); !read) {
      return std::unexpected(with_context(fmt::format("can't read the object code of {}", entry),
                                          std::move(read).error()));
    }
  }
  if (shared != nullptr) read_shared_attributes(*file, shared->bytes, entry, resources);
  // Cubins of CUDA 12 have it in the upper bits of the section header as well.
  if (resources.registers == 0) resources.registers = to_int(text->info >> 24);
  resources.static_smem_bytes = static_shared_bytes(*file, entry);
  return resources;
}

}  // namespace fms
