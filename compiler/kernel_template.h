#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/digest.h"
#include "compiler/parameter.h"
#include "compiler/result.h"

namespace fms {

// A header or a template as text, under the name that #include uses.
struct SourceFile {
  std::string name;
  std::string text;

  bool operator==(const SourceFile&) const = default;
};

// The SHA-256 of its text; of an embedded file it was computed when this was built.
Digest digest_of(const SourceFile& file);

// Looks up the text of an include that isn't one of our embedded headers. `from` is the name of the
// file that includes it. Nothing: not found here (a toolkit header, or one behind a false #if).
using HeaderResolver =
    std::function<std::optional<std::string>(std::string_view name, std::string_view from)>;

// CUDA C++ source that declares parameters and defines one extern "C" kernel; together with the
// text of every header of ours or the user's that it may include.
//
// Immutable; safe to share among threads.
class KernelTemplate {
 public:
  // Parses the declarations of `text` and gathers its includes, recursively: first from the
  // embedded files, then from `resolver`. Toolkit headers (cuda_fp16.h, ...) are the compiler's and
  // stay out.
  //
  // The entry is `entry`; if that is empty, the name in FMS_KERNEL(name, "doc"); failing that, the
  // only `extern "C" __global__` function of the file. Errors carry file, line and column.
  static Result<std::shared_ptr<const KernelTemplate>> parse(std::string file_name,
                                                             std::string text,
                                                             std::string_view entry = {},
                                                             const HeaderResolver& resolver = {});

  // An embedded template by its entry's name ("saxpy", "attention_forward_simt"). The error lists
  // names. Files of `own` stand in for embedded ones of the same names, and may include others of
  // `own`, embedded ones, and what `resolver` knows. They may make the kernel spill registers: its
  // tile was chosen without them.
  static Result<std::shared_ptr<const KernelTemplate>> embedded(
      std::string_view name, std::span<const SourceFile> own = {},
      const HeaderResolver& resolver = {});
  static std::vector<std::string> embedded_names();

  const std::string& name() const { return name_; }  // also the entry
  const std::string& file_name() const { return file_.name; }
  const std::string& text() const { return file_.text; }
  const std::string& doc() const { return doc_; }
  std::span<const Parameter> parameters() const { return parameters_; }
  const Parameter* find_parameter(std::string_view name) const;  // null: none of that name
  int index_of(std::string_view name) const;                     // -1: none of that name

  // The headers that a rendered translation unit may include, this file among them, sorted by name.
  std::span<const SourceFile> headers() const { return headers_; }

  // FMS_ALLOW(spills), FMS_ALLOW(serialized_wgmma): what law 10 would else refuse.
  bool allows_spills() const { return allows_spills_; }
  bool allows_serialized_wgmma() const { return allows_serialized_wgmma_; }

  // Over name and all headers: two templates with equal digests are interchangeable.
  const Digest& digest() const { return digest_; }

 private:
  KernelTemplate() = default;

  static Result<std::shared_ptr<const KernelTemplate>> parse_with(std::span<const SourceFile> own,
                                                                  std::string file_name,
                                                                  std::string text,
                                                                  std::string_view entry,
                                                                  const HeaderResolver& resolver);

  std::string name_, doc_;
  SourceFile file_;
  std::vector<Parameter> parameters_;
  std::vector<SourceFile> headers_;
  bool allows_spills_ = false;
  bool allows_serialized_wgmma_ = false;
  Digest digest_;
};

}  // namespace fms
