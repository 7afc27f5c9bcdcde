#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "runtime/ops/attention.h"

namespace fms::attention {
namespace {

constexpr std::string_view kDTypeNames[] = {"f32", "f16", "bf16"};
constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
constexpr std::string_view kMaskNames[] = {"full", "causal", "causal_top_left"};  // as in Mask

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
};

Result<void> read_field(const std::string& key, const std::string& text, Fields& fields) {
  Problem& problem = fields.problem;
  if (key == "batch") return read(key, text, problem.batch);
  if (key == "heads") return read(key, text, problem.heads);
  if (key == "seq_q") return read(key, text, problem.seq_q);
  if (key == "seq_k") return read(key, text, problem.seq_k);
  if (key == "head_dim") return read(key, text, problem.head_dim);
  if (key == "return_lse") return read(key, text, problem.return_lse);
  if (key == "kv_heads") {
    fields.has_kv_heads = true;
    return read(key, text, problem.kv_heads);
  }
  if (key == "causal") return read(key, text, fields.causal.emplace());
  if (key == "mask") {
    const auto* name = std::ranges::find(kMaskNames, text);
    if (name == std::end(kMaskNames)) {
      return bad(fmt::format("mask is \"{}\"; it may be full, causal or causal_top_left", text));
    }
    fields.mask = static_cast<Mask>(name - std::begin(kMaskNames));
    return {};
  }
  if (key == "dtype") {
    const std::optional<DType> dtype = parse_dtype(text);
    if (!dtype) return bad(fmt::format("dtype is \"{}\"; it may be f32, f16 or bf16", text));
    problem.dtype = *dtype;
    return {};
  }
  return bad(
      fmt::format("it has no \"{}\": there are dtype, batch, heads, kv_heads, seq_q, seq_k, "
                  "head_dim, causal, mask and return_lse",
                  key));
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
      {"causal", problem.mask == Mask::kFull ? "false" : "true"},
  };
  if (problem.mask == Mask::kCausalTopLeft) entry.problem["mask"] = "causal_top_left";
  if (problem.return_lse) entry.problem["return_lse"] = "true";
  return entry;
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
  if (fields.causal && *fields.causal != (problem.mask != Mask::kFull)) {
    return bad(fmt::format("causal is {} and mask is {}; leave one out", *fields.causal,
                           kMaskNames[static_cast<int>(problem.mask)]));
  }
  FMS_TRY_VOID(check(problem));
  return problem;
}

}  // namespace fms::attention
