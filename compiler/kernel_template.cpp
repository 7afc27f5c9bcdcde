#include "compiler/kernel_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "compiler/includes.h"
#include "compiler/nvrtc_compiler.h"
#include "compiler/template_parser.h"
#include "templates/embedded.h"

namespace fms {
namespace {

// Bounds that no sensible template reaches; they keep a hostile file's cost small.
constexpr std::size_t kMostHeaders = 1024;
constexpr std::size_t kLongestHeaders = std::size_t{64} << 20;  // all texts together

const EmbeddedFile* find_embedded(std::string_view name) {
  const auto files = embedded_files();
  const auto found = std::ranges::lower_bound(files, name, {}, &EmbeddedFile::name);
  return found != files.end() && found->name == name ? &*found : nullptr;
}

// "dir/../x.h" as "x.h". A name that leaves its root keeps its dots.
std::string normal_name(std::string_view name) {
  std::vector<std::string_view> parts;
  const bool rooted = name.starts_with('/');
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  return fmt::format("{}{}", rooted ? "/" : "", fmt::join(parts, "/"));
}

// `name` as it reads from the folder of `from`: "dir/x.h" for "x.h" in "dir/a.cuh".
std::string beside(std::string_view from, std::string_view name) {
  const std::size_t slash = from.rfind('/');
  if (slash == std::string_view::npos || name.starts_with('/')) return normal_name(name);
  return normal_name(fmt::format("{}/{}", from.substr(0, slash), name));
}

// Follows includes from file to file, breadth first, so that depth costs no stack.
//
// NVRTC matches a header in memory by the very spelling of the #include, so a header is kept under
// that spelling, while what it includes in turn is looked up beside where it was found.
class HeaderGatherer {
 public:
  HeaderGatherer(std::span<const SourceFile> own, const HeaderResolver& resolver)
      : own_(own), resolver_(resolver), toolkit_(nvrtc_header_roots()) {}

  Result<void> add(const std::string& spelling, const std::string& place, std::string text);
  Result<void> add_embedded(std::string_view name);
  Result<std::vector<SourceFile>> finish();

 private:
  struct Header {
    std::string text, place;
  };
  struct Found {
    std::string place, text;
  };

  // Nothing also for an embedded file that is in already.
  std::optional<Found> find(const IncludeName& include, const std::string& from) const;

  const std::span<const SourceFile> own_;  // before embedded ones
  const HeaderResolver& resolver_;
  const std::vector<std::string> toolkit_;
  std::map<std::string, Header> headers_;  // by spelling; what finish() hands out
  std::vector<std::string> open_;          // spellings whose includes aren't followed yet
  std::size_t bytes_ = 0;
};

Result<void> HeaderGatherer::add(const std::string& spelling, const std::string& place,
                                 std::string text) {
  const auto known = headers_.find(spelling);
  if (known != headers_.end()) {
    if (known->second.text == text) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("two files are included as \"{}\": {} and {}; spell one of them with "
                            "its folder",
                            spelling, known->second.place, place));
  }
  bytes_ += text.size();
  if (headers_.size() >= kMostHeaders || bytes_ > kLongestHeaders) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: more than {} headers or {} bytes of them", spelling, kMostHeaders,
                            kLongestHeaders));
  }
  headers_[spelling] = {.text = std::move(text), .place = place};
  open_.push_back(spelling);
  return {};
}

Result<void> HeaderGatherer::add_embedded(std::string_view name) {
  const EmbeddedFile* file = find_embedded(name);
  if (file == nullptr) {
    return fail(ErrorCode::kInternal, fmt::format("{} isn't embedded in this build", name));
  }
  return add(std::string(name), std::string(name), std::string(file->text));
}

std::optional<HeaderGatherer::Found> HeaderGatherer::find(const IncludeName& include,
                                                          const std::string& from) const {
  if (std::ranges::find(toolkit_, include.name) != toolkit_.end()) return std::nullopt;
  std::vector<std::string> places;
  if (!include.angled) places.push_back(beside(from, include.name));
  if (places.empty() || places.front() != include.name) places.push_back(include.name);
  for (const std::string& place : places) {
    const auto file = std::ranges::find(own_, place, &SourceFile::name);
    if (file != own_.end()) return Found{.place = place, .text = file->text};
  }
  for (const std::string& place : places) {
    if (const EmbeddedFile* file = find_embedded(place)) {
      const auto known = headers_.find(include.name);
      if (known != headers_.end() && known->second.text == file->text) return std::nullopt;
      return Found{.place = place, .text = std::string(file->text)};
    }
  }
  if (!resolver_) return std::nullopt;
  for (const std::string& place : places) {
    if (auto text = resolver_(place, from)) return Found{.place = place, .text = *std::move(text)};
  }
  return std::nullopt;
}

Result<std::vector<SourceFile>> HeaderGatherer::finish() {
  while (!open_.empty()) {
    const Header& header = headers_.at(open_.back());  // stays where it is
    open_.pop_back();
    for (const IncludeName& include : scan_includes(header.text)) {
      if (auto found = find(include, header.place)) {
        FMS_TRY_VOID(add(include.name, found->place, std::move(found->text)));
      }
    }
  }
  std::vector<SourceFile> files;
  for (auto& [spelling, header] : headers_) {
    files.push_back({.name = spelling, .text = std::move(header.text)});
  }
  return files;
}

// The entry by the rule that KernelTemplate::parse() states.
Result<std::string> choose_entry(const std::string& file_name, std::string_view asked,
                                 const TemplateDeclarations& declarations) {
  if (!asked.empty()) return std::string(asked);
  if (!declarations.kernel.empty()) return declarations.kernel;
  if (declarations.entries.size() == 1) return declarations.entries.front();
  if (declarations.entries.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:1:1: no kernel found: the file needs an extern \"C\" __global__ "
                            "function; if a macro makes it, name it by FMS_KERNEL(name, \"...\")",
                            file_name));
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}:1:1: several kernels: {}; say which one is meant, by name or by "
                          "FMS_KERNEL(name, \"...\")",
                          file_name, fmt::join(declarations.entries, ", ")));
}

bool is_identifier(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

// Whether #include "name" says that name.
bool is_includable(std::string_view name) {
  return !name.empty() && std::ranges::none_of(name, [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  });
}

// The entry's name of an embedded file; empty if it isn't a template but a header.
std::string embedded_kernel(const EmbeddedFile& file) {
  if (file.text.find("FMS_KERNEL") == std::string_view::npos) return {};
  const auto declarations = parse_declarations(file.name, file.text);
  return declarations ? declarations->kernel : std::string();
}

}  // namespace

// There are 180 kB of embedded files in a template.
Digest digest_of(const SourceFile& file) {
  const EmbeddedFile* embedded = find_embedded(file.name);
  return embedded != nullptr && embedded->text == file.text ? Digest{embedded->sha256}
                                                            : sha256(file.text);
}

Result<std::shared_ptr<const KernelTemplate>> KernelTemplate::parse(
    std::string file_name, std::string text, std::string_view entry,
    const HeaderResolver& resolver) {
  return parse_with({}, std::move(file_name), std::move(text), entry, resolver);
}

Result<std::shared_ptr<const KernelTemplate>> KernelTemplate::parse_with(
    std::span<const SourceFile> own, std::string file_name, std::string text,
    std::string_view entry, const HeaderResolver& resolver) {
  if (!is_includable(file_name)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't use a template named \"{}\": the name stands in an #include, "
                            "and may have no quote, backslash or control character",
                            file_name));
  }
  FMS_TRY(TemplateDeclarations declarations, parse_declarations(file_name, text));
  FMS_TRY(std::string name, choose_entry(file_name, entry, declarations));
  if (!is_identifier(name)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: \"{}\" can't be the name of a kernel", file_name, name));
  }
  HeaderGatherer gatherer(own, resolver);
  FMS_TRY_VOID(gatherer.add(file_name, normal_name(file_name), text));
  FMS_TRY_VOID(gatherer.add_embedded("fms/parameter.cuh"));
  auto headers = gatherer.finish();
  if (!headers) {
    return std::unexpected(
        with_context("can't gather the includes of " + file_name, std::move(headers).error()));
  }

  std::shared_ptr<KernelTemplate> result(new KernelTemplate());
  result->name_ = std::move(name);
  result->doc_ = std::move(declarations.doc);
  result->file_ = {.name = std::move(file_name), .text = std::move(text)};
  result->parameters_ = std::move(declarations.parameters);
  result->headers_ = *std::move(headers);
  result->allows_spills_ = declarations.allows_spills || !own.empty();
  result->allows_serialized_wgmma_ = declarations.allows_serialized_wgmma;
  FieldHasher hasher;
  hasher.add("name", result->name_);
  hasher.add("file", result->file_.name);
  for (const SourceFile& header : result->headers_) {
    hasher.add("header", header.name);
    hasher.add("sha256", digest_of(header).hex());
  }
  result->digest_ = hasher.finish();
  return result;
}

Result<std::shared_ptr<const KernelTemplate>> KernelTemplate::embedded(
    std::string_view name, std::span<const SourceFile> own, const HeaderResolver& resolver) {
  // To look for the text first: parsing a file takes far longer.
  const std::string declaration = fmt::format("FMS_KERNEL({},", name);
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.text.find(declaration) == std::string_view::npos) continue;
    FMS_TRY(auto parsed,
            parse_with(own, std::string(file.name), std::string(file.text), {}, resolver));
    if (parsed->name() == name) return parsed;
  }
  return fail(ErrorCode::kNotFound, fmt::format("no template is named {}; there are {}", name,
                                                fmt::join(embedded_names(), ", ")));
}

std::vector<std::string> KernelTemplate::embedded_names() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_files()) {
    if (std::string name = embedded_kernel(file); !name.empty()) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

const Parameter* KernelTemplate::find_parameter(std::string_view name) const {
  const int index = index_of(name);
  return index < 0 ? nullptr : &parameters_[static_cast<std::size_t>(index)];
}

int KernelTemplate::index_of(std::string_view name) const {
  const auto found = std::ranges::find(parameters_, name, &Parameter::name);
  return found == parameters_.end() ? -1 : static_cast<int>(found - parameters_.begin());
}

}  // namespace fms
