#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_plan.h"

namespace fms::attention {
namespace {

constexpr std::string_view kDTypeNames[] = {"f32", "f16", "bf16"};
constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
constexpr std::string_view kMaskNames[] = {"full", "causal", "causal_top_left", "window",
                                           "window_top_left"};                 // as in Mask
constexpr std::string_view kAccessNames[] = {"elements", "vectors", "units"};  // as in Access
// Before the name of a file, of which the text is the value.
constexpr std::string_view kFile = "file:";

bool is_causal(Mask mask) { return mask == Mask::kCausal || mask == Mask::kCausalTopLeft; }

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::kInvalidArgument,
              "can't use this attention problem: " + std::move(message));
}

Result<void> read(std::string_view key, const std::string& text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return bad(fmt::format("{} is \"{}\", which isn't an integer that fits 32 bits", key, text));
  }
  return {};
}

Result<void> read(std::string_view key, const std::string& text, bool& value) {
  if (text != "true" && text != "false") {
    return bad(fmt::format("{} is \"{}\"; it may be true or false", key, text));
  }
  value = text == "true";
  return {};
}

// What the keys of an entry say, before it is known whether they agree.
struct Fields {
  Problem problem;
  bool has_kv_heads = false;
  std::optional<bool> causal;
  std::optional<Mask> mask;
  std::string mods;                          // the name of the file that declares them
  std::map<std::string, std::string> files;  // by name
};

Result<void> read_field(const std::string& key, const std::string& text, Fields& fields) {
  Problem& problem = fields.problem;
  if (key == "batch") return read(key, text, problem.batch);
  if (key == "heads") return read(key, text, problem.heads);
  if (key == "seq_q") return read(key, text, problem.seq_q);
  if (key == "seq_k") return read(key, text, problem.seq_k);
  if (key == "head_dim") return read(key, text, problem.head_dim);
  if (key == "value_dim") return read(key, text, problem.value_dim);
  if (key == "softcap") return read(key, text, problem.softcap);
  if (key == "sinks") return read(key, text, problem.sinks);
  if (key == "packed") return read(key, text, problem.packed);
  if (key == "return_lse") return read(key, text, problem.return_lse);
  if (key == "block_table") return read(key, text, problem.block_table);
  if (key == "mods") {
    fields.mods = text;
    return {};
  }
  if (key.starts_with(kFile)) {
    fields.files[key.substr(kFile.size())] = text;
    return {};
  }
  if (key == "kv_heads") {
    fields.has_kv_heads = true;
    return read(key, text, problem.kv_heads);
  }
  if (key == "causal") return read(key, text, fields.causal.emplace());
  if (key == "mask") {
    const auto* name = std::ranges::find(kMaskNames, text);
    if (name == std::end(kMaskNames)) {
      return bad(fmt::format("mask is \"{}\"; it may be {}", text, fmt::join(kMaskNames, ", ")));
    }
    fields.mask = static_cast<Mask>(name - std::begin(kMaskNames));
    return {};
  }
  if (key == "access") {  // access_of() reads it
    if (std::ranges::find(kAccessNames, text) != std::end(kAccessNames)) return {};
    return bad(fmt::format("access is \"{}\"; it may be {}", text, fmt::join(kAccessNames, ", ")));
  }
  if (key == "dtype") {
    const std::optional<DType> dtype = parse_dtype(text);
    if (!dtype) return bad(fmt::format("dtype is \"{}\"; it may be f32, f16 or bf16", text));
    problem.dtype = *dtype;
    return {};
  }
  return bad(
      fmt::format("it has no \"{}\": there are dtype, batch, heads, kv_heads, seq_q, seq_k, "
                  "head_dim, value_dim, causal, mask, softcap, sinks, packed, return_lse, "
                  "block_table, access, mods and file:NAME",
                  key));
}

Result<std::shared_ptr<const Mods>> mods_of(const Fields& fields) {
  const auto main = fields.files.find(fields.mods);
  if (main == fields.files.end()) {
    return bad(
        fmt::format("mods is \"{0}\", and there is no \"file:{0}\" with its text", fields.mods));
  }
  return Mods::make(fields.mods, main->second,
                    [&](std::string_view name, std::string_view) -> std::optional<std::string> {
                      const auto found = fields.files.find(std::string(name));
                      if (found == fields.files.end()) return std::nullopt;
                      return found->second;
                    });
}

}  // namespace

ManifestEntry to_manifest_entry(const Problem& problem) {
  ManifestEntry entry;
  entry.op = "attention";
  const auto* dtype = std::ranges::find(kDTypes, problem.dtype);
  entry.problem = {
      {"dtype", std::string(dtype == std::end(kDTypes) ? to_string(problem.dtype)
                                                       : kDTypeNames[dtype - kDTypes])},
      {"batch", std::to_string(problem.batch)},
      {"heads", std::to_string(problem.heads)},
      {"kv_heads", std::to_string(problem.kv_heads)},
      {"seq_q", std::to_string(problem.seq_q)},
      {"seq_k", std::to_string(problem.seq_k)},
      {"head_dim", std::to_string(problem.head_dim)},
      {"causal", is_causal(problem.mask) ? "true" : "false"},
  };
  const auto index = static_cast<std::size_t>(problem.mask);
  if (problem.mask > Mask::kCausal && index < std::size(kMaskNames)) {
    entry.problem["mask"] = kMaskNames[index];
  }
  if (problem.value_columns() != problem.head_dim) {
    entry.problem["value_dim"] = std::to_string(problem.value_dim);
  }
  for (const auto& [key, is_so] : {std::pair{"softcap", problem.softcap},
                                   {"sinks", problem.sinks},
                                   {"packed", problem.packed},
                                   {"return_lse", problem.return_lse},
                                   {"block_table", problem.block_table}}) {
    if (is_so) entry.problem[key] = "true";
  }
  if (problem.mods != nullptr) {
    entry.problem["mods"] = problem.mods->file_name();
    for (const SourceFile& file : problem.mods->files()) {
      entry.problem[std::string(kFile) + file.name] = file.text;
    }
  }
  return entry;
}

ManifestEntry to_manifest_entry(const Problem& problem, Access access) {
  ManifestEntry entry = to_manifest_entry(problem);
  const auto index = static_cast<std::size_t>(access);
  if (index < std::size(kAccessNames)) entry.problem["access"] = kAccessNames[index];
  return entry;
}

Access access_of(const ManifestEntry& entry) {
  const auto said = entry.problem.find("access");
  if (said == entry.problem.end()) return Access::kBulk;
  return static_cast<Access>(std::ranges::find(kAccessNames, said->second) -
                             std::begin(kAccessNames));
}

Result<Problem> from_manifest_entry(const ManifestEntry& entry) {
  if (entry.op != "attention") {
    return bad(fmt::format("its operation is \"{}\", not attention", entry.op));
  }
  Fields fields;
  for (const auto& [key, text] : entry.problem) FMS_TRY_VOID(read_field(key, text, fields));
  for (const char* key : {"dtype", "batch", "heads", "seq_q", "seq_k", "head_dim"}) {
    if (!entry.problem.contains(key)) return bad(fmt::format("it says no \"{}\"", key));
  }
  Problem& problem = fields.problem;
  if (!fields.has_kv_heads) problem.kv_heads = problem.heads;
  problem.mask = fields.mask.value_or(fields.causal.value_or(false) ? Mask::kCausal : Mask::kFull);
  if (fields.causal && *fields.causal != is_causal(problem.mask)) {
    return bad(fmt::format("causal is {} and mask is {}; leave one out", *fields.causal,
                           kMaskNames[static_cast<int>(problem.mask)]));
  }
  if (!fields.mods.empty()) {
    FMS_TRY(problem.mods, mods_of(fields));
  }
  FMS_TRY_VOID(check(problem));
  return problem;
}

}  // namespace fms::attention
