#include "compiler/compile_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fms {
namespace {

// Raised when the meaning of a field changes, or that of a stored record made from equal fields.
constexpr std::string_view kKeySchema = "fms-key-2";

constexpr std::size_t kLongestSummary = 100;

std::string long_summary(const Digest& digest, std::size_t bytes) {
  return fmt::format("sha256 {}, {} bytes", digest.hex(), bytes);
}

// Labels with the parts of a request that decide the bytes, in a fixed order. Headers stand there
// by their digests, known of embedded ones: a first call would hash them for 0.2 ms else.
std::vector<std::pair<std::string, std::string>> key_fields(const CompileRequest& request) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.emplace_back("schema", kKeySchema);
  fields.emplace_back("compiler", request.compiler);
  fields.emplace_back("target", request.target.to_string());
  fields.emplace_back("format", to_string(request.format));
  fields.emplace_back("entry", request.entry);
  fields.emplace_back("source", request.source);
  for (std::size_t i = 0; i < request.options.size(); ++i) {
    fields.emplace_back(fmt::format("option[{}]", i), request.options[i]);
  }
  for (const SourceFile& header : request.headers) {
    fields.emplace_back(fmt::format("header[{}]", header.name),
                        long_summary(digest_of(header), header.text.size()));
  }
  fields.emplace_back("allow_spills", request.allow_spills ? "true" : "false");
  fields.emplace_back("allow_serialized_wgmma", request.allow_serialized_wgmma ? "true" : "false");
  return fields;
}

std::string summary_of(std::string_view value) {
  const bool short_line = value.size() <= kLongestSummary &&
                          std::ranges::none_of(value, [](char c) { return c >= 0 && c < ' '; });
  if (short_line) return std::string(value);
  return long_summary(sha256(value), value.size());
}

}  // namespace

std::string_view to_string(Sanitizer sanitizer) {
  switch (sanitizer) {
    case Sanitizer::kAddress:
      return "address";
    case Sanitizer::kUndefined:
      return "undefined";
    case Sanitizer::kThread:
      break;
  }
  return "thread";
}

Result<std::vector<Sanitizer>> parse_sanitizers(std::string_view list) {
  constexpr Sanitizer kAll[] = {Sanitizer::kAddress, Sanitizer::kUndefined, Sanitizer::kThread};
  std::vector<Sanitizer> chosen;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view name = list.substr(0, end);
    const auto* found = std::ranges::find(kAll, name, [](Sanitizer s) { return to_string(s); });
    if (found == std::end(kAll)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("can't sanitize for \"{}\": there are address, undefined and thread",
                              name.substr(0, 80)));
    }
    chosen.push_back(*found);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  std::ranges::sort(chosen);
  const auto repeated = std::ranges::unique(chosen);
  chosen.erase(repeated.begin(), repeated.end());
  return chosen;
}

CompileRequest make_request(const Specialization& specialization, const Target& target,
                            std::string compiler_fingerprint, const CompileOptions& options) {
  const KernelTemplate& kernel_template = specialization.kernel_template();
  CompileRequest request{
      .compiler = std::move(compiler_fingerprint),
      .target = target,
      .format = target.kind == Target::Kind::kCpu ? ObjectFormat::kElf : options.format,
      .entry = kernel_template.name(),
      .source = render(specialization),
      .headers = {kernel_template.headers().begin(), kernel_template.headers().end()},
      .allow_spills = kernel_template.allows_spills(),
      .allow_serialized_wgmma = kernel_template.allows_serialized_wgmma(),
  };
  request.options.emplace_back("--std=c++20");
  if (target.kind == Target::Kind::kCuda) {
    // Object code is asked of sm_90a, PTX of the virtual compute_90a.
    const bool is_ptx = options.format == ObjectFormat::kPtx && target.arch.starts_with("sm_");
    request.options.push_back("--gpu-architecture=" +
                              (is_ptx ? "compute_" + target.arch.substr(3) : target.arch));
    // Functions without __device__ are device functions, as constexpr ones of a template are.
    request.options.emplace_back("-default-device");
  } else {
    request.options.emplace_back("-O3");
    for (const Sanitizer each : options.sanitize) {
      request.options.push_back(fmt::format("-sanitize={}", to_string(each)));
    }
  }
  if (options.lineinfo) request.options.emplace_back("-lineinfo");
  return request;
}

Digest cache_key(const CompileRequest& request) {
  FieldHasher hasher;
  for (const auto& [label, value] : key_fields(request)) hasher.add(label, value);
  return hasher.finish();
}

std::vector<KeyField> explain_key(const CompileRequest& request) {
  std::vector<KeyField> explained;
  for (const auto& [label, value] : key_fields(request)) {
    explained.push_back({.label = label, .summary = summary_of(value)});
  }
  return explained;
}

}  // namespace fms
