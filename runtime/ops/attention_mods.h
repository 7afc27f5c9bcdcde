#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/kernel_template.h"

namespace fms::attention {

// A user's functions of scores and masks: CUDA C++ with a struct Mods, as
// templates/attention/mods.cuh describes it, for which it stands in.
//
// Immutable and thread-safe. There is one object for each content, so that equal sources are equal
// problems; it is part of every cache key that it decides.
class Mods {
 public:
  // `file_name` is what errors point to; a name without folders. Includes are looked up among the
  // embedded files, then by `resolver`, now and never again. Fails if there is no struct Mods, or
  // an include is ambiguous; what else is wrong shows when a kernel is compiled.
  static Result<std::shared_ptr<const Mods>> make(std::string file_name, std::string text,
                                                  const HeaderResolver& resolver = {});
  // Of a file, whose includes are looked up beside it and in `include_folders`.
  static Result<std::shared_ptr<const Mods>> read(
      const std::filesystem::path& file,
      const std::vector<std::filesystem::path>& include_folders = {});

  // Of templates/attention/mods/: "bias", "alibi", "documents". `before` stands in front of its
  // text. The error lists names.
  static Result<std::shared_ptr<const Mods>> embedded(std::string_view name,
                                                      std::string_view before = {});

  const std::string& file_name() const { return files_.front().name; }
  // The file, and those of the user's that it includes, sorted by name.
  std::span<const SourceFile> files() const { return files_; }

  // Whether the word is one of the files', outside of comments and texts.
  bool names(std::string_view word) const;

  // An embedded template with these functions, parsed once.
  Result<std::shared_ptr<const KernelTemplate>> in(std::string_view template_name) const;

 private:
  Mods() = default;

  std::vector<SourceFile> files_;
  std::vector<SourceFile> own_;  // and the header that includes the file, in place of ours
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  mutable std::map<std::string, std::shared_ptr<const KernelTemplate>, std::less<>> templates_;
};

// The embedded template, with the functions of `mods` unless that is null.
Result<std::shared_ptr<const KernelTemplate>> template_with(const Mods* mods,
                                                            std::string_view template_name);

}  // namespace fms::attention
