#include "runtime/ops/attention_mods.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "compiler/digest.h"
#include "compiler/source_lexer.h"
#include "runtime/template_file.h"
#include "templates/embedded.h"

namespace fms::attention {
namespace {

constexpr std::string_view kHeader = "attention/mods.cuh";
constexpr std::string_view kFolder = "attention/mods/", kSuffix = ".cuh";

std::unexpected<Error> invalid(std::string_view file_name, std::string_view reason) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't use {} as functions of attention: {}", file_name, reason));
}

bool is_file_name(std::string_view name) {
  return !name.empty() && std::ranges::none_of(name, [](char c) {
    return c == '"' || c == '<' || c == '>' || c == '/' || c == '\\' ||
           static_cast<unsigned char>(c) < 0x20;
  });
}

bool declares_mods(std::string_view text) {
  SourceLexer lexer(text);
  bool after_struct = false;
  for (SourceToken token = lexer.next(); token.kind != SourceToken::Kind::kEnd;
       token = lexer.next()) {
    const bool word = token.kind == SourceToken::Kind::kIdentifier;
    if (after_struct && word && token.text == "Mods") return true;
    after_struct = word && (token.text == "struct" || token.text == "class");
  }
  return false;
}

bool is_embedded(const SourceFile& file) {
  return std::ranges::any_of(embedded_files(), [&](const EmbeddedFile& embedded) {
    return embedded.name == file.name && embedded.text == file.text;
  });
}

// Stands in for attention/mods.cuh. An #include, and not the text itself: errors then point to the
// user's file and lines.
SourceFile header_for(std::string_view file_name) {
  return {.name = std::string(kHeader),
          .text = fmt::format("#ifndef FMS_ATTENTION_MODS_CUH_\n"
                              "#define FMS_ATTENTION_MODS_CUH_\n"
                              "#define FMS_ATTENTION_MODS_GIVEN\n"
                              "#include <{}>\n"
                              "#endif\n",
                              file_name)};
}

// All Mods that there are, by content.
//
// Thread-safe. Never destroyed, so that threads which outlive main() may still use it.
class Registry {
 public:
  static Registry& get() {
    static Registry& registry = *new Registry;
    return registry;
  }

  // The one with the content of `made`, which is that unless there was one before.
  std::shared_ptr<const Mods> only(std::shared_ptr<const Mods> made) {
    FieldHasher hasher;
    hasher.add("main", made->file_name());
    for (const SourceFile& file : made->files()) {
      hasher.add("name", file.name);
      hasher.add("text", file.text);
    }
    const Digest digest = hasher.finish();
    const std::lock_guard lock(mutex_);
    if (const auto found = all_.find(digest); found != all_.end()) {
      if (auto present = found->second.lock()) return present;
    }
    std::erase_if(all_, [](const auto& entry) { return entry.second.expired(); });
    all_[digest] = made;
    return made;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Digest, std::weak_ptr<const Mods>> all_;  // guarded by mutex_
};

}  // namespace

Result<std::shared_ptr<const Mods>> Mods::make(std::string file_name, std::string text,
                                               const HeaderResolver& resolver) {
  if (!is_file_name(file_name)) {
    return invalid(file_name, "the name of the file may have no folder, quote or bracket");
  }
  if (!declares_mods(text)) {
    return invalid(file_name,
                   "it declares no struct Mods; templates/attention/mods.cuh says what that has");
  }
  const std::shared_ptr<Mods> made(new Mods);
  made->own_ = {header_for(file_name), {.name = file_name, .text = text}};
  auto parsed = KernelTemplate::embedded("attention_forward_simt", made->own_, resolver);
  if (!parsed) return std::unexpected(std::move(parsed).error());
  made->files_ = {{.name = std::move(file_name), .text = std::move(text)}};
  for (const SourceFile& file : (*parsed)->headers()) {
    if (file.name == kHeader || file.name == made->files_[0].name || is_embedded(file)) continue;
    made->files_.push_back(file);
    made->own_.push_back(file);
  }
  made->templates_.emplace((*parsed)->name(), *parsed);
  return Registry::get().only(made);
}

Result<std::shared_ptr<const Mods>> Mods::read(
    const std::filesystem::path& file, const std::vector<std::filesystem::path>& include_folders) {
  FMS_TRY(std::string text, read_source(file));
  std::vector<std::filesystem::path> folders{file.parent_path()};
  folders.insert(folders.end(), include_folders.begin(), include_folders.end());
  return make(file.filename().string(), std::move(text), resolver_in(std::move(folders)));
}

bool Mods::names(std::string_view word) const {
  const auto has_it = [&](const SourceFile& file) {
    SourceLexer lexer(file.text);
    for (SourceToken token = lexer.next(); token.kind != SourceToken::Kind::kEnd;
         token = lexer.next()) {
      if (token.kind == SourceToken::Kind::kIdentifier && token.text == word) return true;
    }
    return false;
  };
  return std::ranges::any_of(files_, has_it);
}

Result<std::shared_ptr<const Mods>> Mods::embedded(std::string_view name, std::string_view before) {
  // Parsed once; few, and never freed, as threads may outlive main().
  static std::mutex& mutex = *new std::mutex;
  static auto& all =
      *new std::map<std::pair<std::string, std::string>, std::shared_ptr<const Mods>>;
  const std::pair<std::string, std::string> key(name, before);
  const std::lock_guard lock(mutex);
  if (const auto found = all.find(key); found != all.end()) return found->second;
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.name.starts_with(kFolder) || !file.name.ends_with(kSuffix)) continue;
    const std::string_view stem =
        file.name.substr(kFolder.size(), file.name.size() - kFolder.size() - kSuffix.size());
    if (stem == name) {
      FMS_TRY(auto made,
              make(fmt::format("{}{}", name, kSuffix), fmt::format("{}{}", before, file.text)));
      return all.emplace(key, std::move(made)).first->second;
    }
    names.emplace_back(stem);
  }
  return fail(ErrorCode::kNotFound, fmt::format("no functions of attention are named {}; there are "
                                                "{}",
                                                name, fmt::join(names, ", ")));
}

Result<std::shared_ptr<const KernelTemplate>> Mods::in(std::string_view template_name) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = templates_.find(template_name); found != templates_.end()) {
    return found->second;
  }
  FMS_TRY(auto parsed, KernelTemplate::embedded(template_name, own_));
  return templates_.emplace(template_name, std::move(parsed)).first->second;
}

Result<std::shared_ptr<const KernelTemplate>> template_with(const Mods* mods,
                                                            std::string_view template_name) {
  if (mods != nullptr) return mods->in(template_name);
  // Parsed once; few, and never freed, as threads may outlive main().
  static std::mutex& mutex = *new std::mutex;
  static auto& plain =
      *new std::map<std::string, std::shared_ptr<const KernelTemplate>, std::less<>>;
  const std::lock_guard lock(mutex);
  if (const auto found = plain.find(template_name); found != plain.end()) return found->second;
  FMS_TRY(auto parsed, KernelTemplate::embedded(template_name));
  return plain.emplace(template_name, std::move(parsed)).first->second;
}

}  // namespace fms::attention
