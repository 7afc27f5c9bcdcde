// Object code as the fake reads it.

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "tests/runtime/fake_driver/state.h"

namespace fms {
namespace {

constexpr std::string_view kMagic = "fake cubin\n";

std::uint32_t alignment_of(std::uint32_t size) { return std::min(size & (~size + 1), 128u); }

std::string_view text_of(const std::vector<std::byte>& image) {
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  return text.substr(0, text.find('\0'));
}

bool is_elf(const std::vector<std::byte>& image) {
  return image.size() > sizeof(Elf64_Ehdr) && std::memcmp(image.data(), ELFMAG, SELFMAG) == 0;
}

// The driver isn't told how long an image is either: an ELF file ends with its last section or
// table.
std::size_t elf_size(const std::byte* bytes) {
  Elf64_Ehdr header;
  std::memcpy(&header, bytes, sizeof(header));
  std::size_t end =
      std::max<std::size_t>(header.e_shoff + std::size_t{header.e_shnum} * sizeof(Elf64_Shdr),
                            header.e_phoff + std::size_t{header.e_phnum} * sizeof(Elf64_Phdr));
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    std::memcpy(&section, bytes + header.e_shoff + i * sizeof(section), sizeof(section));
    if (section.sh_type != SHT_NOBITS) {
      end = std::max<std::size_t>(end, section.sh_offset + section.sh_size);
    }
  }
  return end;
}

// One ".param .align 8 .u64 name" or ".param .b8 name[16]": its size.
std::uint32_t ptx_parameter_size(std::string_view text) {
  std::uint32_t count = 1;
  if (const auto bracket = text.find('['); bracket != std::string_view::npos) {
    count = static_cast<std::uint32_t>(std::stoul(std::string(text.substr(bracket + 1))));
  }
  for (const auto& [suffix, size] : {std::pair{"64", 8u}, {"32", 4u}, {"16", 2u}, {"8", 1u}}) {
    for (const char* type : {".u", ".s", ".b", ".f"}) {
      if (text.find(std::string(type) + suffix + " ") != std::string_view::npos) {
        return size * count;
      }
    }
  }
  return count;
}

Result<Resources> find_in_ptx(std::string_view text, std::string_view name) {
  const auto entry = text.find(".entry " + std::string(name) + "(");
  if (entry == std::string_view::npos) return fail(ErrorCode::kNotFound, "no such kernel");
  const auto open = text.find('(', entry);
  std::string_view list = text.substr(open + 1, text.find(')', open) - open - 1);
  Resources resources{.registers = 24};
  std::uint32_t offset = 0;
  for (auto at = list.find(".param"); at != std::string_view::npos; at = list.find(".param")) {
    list.remove_prefix(at + 6);
    const std::uint32_t size = ptx_parameter_size(list.substr(0, list.find(".param")));
    const std::uint32_t alignment = alignment_of(size);
    offset = (offset + alignment - 1) / alignment * alignment;
    resources.parameters.push_back({offset, size});
    offset += size;
  }
  return resources;
}

Result<Resources> find_in_fake(std::string_view text, std::string_view name) {
  std::istringstream words{std::string(text.substr(kMagic.size()))};
  std::string arch, kernel;
  Resources resources;
  std::size_t count = 0;
  words >> arch >> kernel >> resources.registers >> resources.static_smem_bytes >>
      resources.max_threads >> count;
  if (!words || kernel != name) return fail(ErrorCode::kNotFound, "no such kernel");
  resources.parameters.resize(count);
  for (ParameterLayout& parameter : resources.parameters)
    words >> parameter.offset >> parameter.size;
  return resources;
}

}  // namespace

ObjectCode fake_object(const FakeKernel& kernel, const Target& target) {
  Resources resources{.registers = kernel.registers,
                      .static_smem_bytes = kernel.static_smem_bytes,
                      .max_threads = kernel.max_threads};
  std::uint32_t offset = 0;
  for (const std::uint32_t size : kernel.parameter_sizes) {
    const std::uint32_t alignment = alignment_of(size);
    offset = (offset + alignment - 1) / alignment * alignment;
    resources.parameters.push_back({offset, size});
    offset += size;
  }
  std::ostringstream text;
  text << kMagic << target.arch << ' ' << kernel.name << ' ' << kernel.registers << ' '
       << kernel.static_smem_bytes << ' ' << kernel.max_threads << ' '
       << resources.parameters.size();
  for (const ParameterLayout& parameter : resources.parameters) {
    text << ' ' << parameter.offset << ' ' << parameter.size;
  }
  std::string bytes = std::move(text).str();
  bytes.resize(std::max<std::size_t>(bytes.size() + 1, 256), '\0');
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return {.target = target,
          .entry = kernel.name,
          .bytes = std::vector<std::byte>(begin, begin + bytes.size()),
          .resources = resources,
          .compiler = "fake 1.0"};
}

namespace fake {

CUresult measure_image(const void* image, std::vector<std::byte>& copy) {
  const auto* bytes = static_cast<const std::byte*>(image);
  std::size_t size = 0;
  if (std::memcmp(bytes, ELFMAG, SELFMAG) == 0) {
    size = elf_size(bytes);
  } else {
    size = std::strlen(static_cast<const char*>(image));
    const std::string_view text(static_cast<const char*>(image), size);
    if (!text.starts_with(kMagic) && text.find(".version") == std::string_view::npos) {
      return CUDA_ERROR_INVALID_IMAGE;
    }
  }
  copy.assign(bytes, bytes + size);
  return CUDA_SUCCESS;
}

Result<Resources> find_in_image(const std::vector<std::byte>& image, std::string_view name) {
  if (is_elf(image)) return read_cubin(image, name);
  const std::string_view text = text_of(image);
  return text.starts_with(kMagic) ? find_in_fake(text, name) : find_in_ptx(text, name);
}

Result<Target> target_of_image(const std::vector<std::byte>& image) {
  const std::string_view text = text_of(image);
  if (is_elf(image) || !text.starts_with(kMagic)) return fail(ErrorCode::kNotFound, "no target");
  const std::string_view rest = text.substr(kMagic.size());
  return Target{Target::Kind::kCuda, std::string(rest.substr(0, rest.find(' ')))};
}

}  // namespace fake
}  // namespace fms
