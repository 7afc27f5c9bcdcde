#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/digest.h"
#include "compiler/kernel_template.h"
#include "compiler/object_code.h"
#include "compiler/specialization.h"
#include "compiler/target.h"

namespace fms {

// Everything that decides the bytes of a kernel, and nothing else: no path, no time, no device.
//
// Invariant (law 1): two requests with equal cache_key() compile to interchangeable object code. A
// field added here must be added to key_fields() as well;
// CompileRequestTest.EveryFieldChangesTheKey fails until it is.
struct CompileRequest {
  std::string compiler;  // the compiler's fingerprint: name, version, build, its own headers
  Target target;
  ObjectFormat format = ObjectFormat::kCubin;
  std::string entry;
  std::string source;                // the rendered translation unit
  std::vector<std::string> options;  // in order
  std::vector<SourceFile> headers;   // ours and the user's; sorted by name
  // What is refused even though it compiles (law 10). Decides whether there is object code at all.
  bool allow_spills = false;
  bool allow_serialized_wgmma = false;
};

// What code for a CPU target can watch itself for, and report.
enum class Sanitizer { kAddress, kUndefined, kThread };
std::string_view to_string(Sanitizer sanitizer);  // "address", "undefined", "thread"

// "address,undefined": in the order of the enumeration, each once.
Result<std::vector<Sanitizer>> parse_sanitizers(std::string_view list);

struct CompileOptions {
  ObjectFormat format = ObjectFormat::kCubin;  // of CUDA targets; those of a CPU have kElf alone
  bool lineinfo = false;
  std::vector<Sanitizer> sanitize;  // of CPU targets; others have none
};

// The request that compiles `specialization` for `target` with the compiler of that fingerprint.
CompileRequest make_request(const Specialization& specialization, const Target& target,
                            std::string compiler_fingerprint, const CompileOptions& options = {});

// One labelled part of a key: what `fms cache why` compares.
struct KeyField {
  std::string label;    // "compiler", "target", "source", "option[0]", "header[fms/size.cuh]", ...
  std::string summary;  // the value itself if it is short and one line, else its SHA-256 and size
};

Digest cache_key(const CompileRequest& request);
std::vector<KeyField> explain_key(const CompileRequest& request);

}  // namespace fms
