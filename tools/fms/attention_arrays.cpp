#include "tools/fms/attention_arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "runtime/ops/attention_elements.h"
#include "runtime/ops/attention_mods.h"
#include "tools/fms/argument.h"

namespace fms::program {
namespace {

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

Result<NpyArray> read_array(const std::string& file, const std::string& dtype, bool packed) {
  FMS_TRY(NpyArray array, read_npy(file));
  if (array.shape.size() != (packed ? 3 : 4)) {
    return refuse(fmt::format(
        "{} has the shape {}; it must be {}", file, shape_to_string(array.shape),
        packed ? "(total, heads, head_dim), with --lengths" : "(batch, heads, seq, head_dim)"));
  }
  for (const std::int64_t length : array.shape) {
    if (length > std::numeric_limits<int>::max()) {
      return refuse(fmt::format("{} has a length of {}, over 2^31 - 1", file, length));
    }
  }
  if (!dtype.empty()) {
    const auto wanted = parse_dtype(dtype);
    if (!wanted) return refuse(fmt::format("'{}' is no element type", dtype));
    if (*wanted != array.dtype) {
      return refuse(fmt::format("{} holds {} and --dtype says {}", file, to_string(array.dtype),
                                to_string(*wanted)));
    }
  } else if (array.stored_as_bits) {
    return refuse(fmt::format(
        "{} holds 16-bit values without a type; add --dtype bf16 if they are bfloat16", file));
  }
  return array;
}

Result<std::vector<float>> read_sinks(const std::string& file) {
  if (file.empty()) return std::vector<float>();
  FMS_TRY(const NpyArray array, read_npy(file));
  if (array.dtype != DType::kFloat32 || array.shape.size() != 1) {
    return refuse(fmt::format("{} is {} of shape {}; sinks must be float32, (heads,)", file,
                              to_string(array.dtype), shape_to_string(array.shape)));
  }
  std::vector<float> sinks(array.data.size() / sizeof(float));
  if (!sinks.empty()) std::memcpy(sinks.data(), array.data.data(), array.data.size());
  return sinks;
}

// Members of the struct Mods: numbers, and arrays, of which it has the addresses.
Result<std::vector<ModsMember>> read_members(const std::vector<std::string>& texts) {
  std::vector<ModsMember> members;
  for (const std::string& text : texts) {
    FMS_TRY(const KernelArgument argument, parse_kernel_argument(text));
    if (argument.kind == KernelArgument::Kind::kNumber) {
      const auto size = static_cast<std::size_t>(size_of(argument.dtype));
      members.push_back({.bytes = {argument.number.begin(), argument.number.begin() + size}});
    } else if (argument.kind == KernelArgument::Kind::kIn) {
      FMS_TRY(NpyArray array, read_npy(argument.file));
      members.push_back({.bytes = std::move(array.data), .is_array = true});
    } else {
      return refuse(fmt::format("'{}': functions only read; give in:FILE or DTYPE:VALUE", text));
    }
  }
  return members;
}

const std::vector<int>& key_lengths(const AttentionCommand& command) {
  return command.key_lengths.empty() ? command.lengths : command.key_lengths;
}

// Where each sequence begins in an array of all their rows, and where the last ends.
Result<std::vector<std::int32_t>> starts_of(const std::vector<int>& lengths, const NpyArray& array,
                                            const char* name) {
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  if (total != array.shape[0]) {
    return refuse(fmt::format("the lengths of {}'s sequences are {} together, and it has {} rows",
                              name, total, array.shape[0]));
  }
  std::vector<std::int32_t> starts(lengths.size() + 1);
  std::partial_sum(lengths.begin(), lengths.end(), starts.begin() + 1);
  return starts;
}

// The strides of a bias that broadcasts to (batch, heads, seq_q, seq_k), in elements: 0 where all
// use the same. Nothing: it doesn't.
std::optional<std::array<std::int64_t, 4>> bias_strides(const NpyArray& bias,
                                                        const attention::Problem& problem) {
  const std::array<std::int64_t, 4> wanted{problem.batch, problem.heads, problem.seq_q,
                                           problem.seq_k};
  if (bias.shape.size() > 4) return std::nullopt;
  std::array<std::int64_t, 4> strides{};
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < bias.shape.size(); ++i) {
    const std::int64_t extent = bias.shape[bias.shape.size() - 1 - i];
    if (extent != 1 && extent != wanted[3 - i]) return std::nullopt;
    strides[3 - i] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
  return strides;
}

void add_bias(const NpyArray& bias, const attention::Problem& problem, AttentionInputs& inputs) {
  const auto strides = *bias_strides(bias, problem);
  inputs.members = {{.bytes = bias.data, .is_array = true}};
  for (const std::int64_t stride : strides) {
    ModsMember member{.bytes = std::vector<std::byte>(sizeof(stride))};
    std::memcpy(member.bytes.data(), &stride, sizeof(stride));
    inputs.members.push_back(std::move(member));
  }
  inputs.score = [strides, &bias](double score, int batch, int head, int query, int key) {
    return score + attention::element(bias.data.data(),
                                      batch * strides[0] + head * strides[1] + query * strides[2] +
                                          key * strides[3],
                                      bias.dtype);
  };
}

Result<std::shared_ptr<const attention::Mods>> mods_of(const AttentionCommand& command,
                                                       const AttentionArrays& arrays,
                                                       const attention::Problem& problem) {
  if (!command.bias.empty()) {
    if (arrays.bias.dtype != DType::kFloat32 && arrays.bias.dtype != problem.dtype) {
      return refuse(fmt::format("{} is {}; a bias is float32 or of the type of q, {}", command.bias,
                                to_string(arrays.bias.dtype), to_string(problem.dtype)));
    }
    if (!bias_strides(arrays.bias, problem)) {
      return refuse(fmt::format("{} has the shape {}, which doesn't broadcast to {}x{}x{}x{}",
                                command.bias, shape_to_string(arrays.bias.shape), problem.batch,
                                problem.heads, problem.seq_q, problem.seq_k));
    }
    const bool is_of_q = arrays.bias.dtype == problem.dtype;
    return attention::Mods::embedded("bias", is_of_q ? "#define FMS_BIAS_ELEMENT T\n" : "");
  }
  if (command.mods.empty()) return std::shared_ptr<const attention::Mods>();
  const bool is_name = command.mods.find_first_of("./") == std::string::npos;
  return is_name ? attention::Mods::embedded(command.mods) : attention::Mods::read(command.mods);
}

// A window with a causal mask ends at the query itself.
attention::Mask mask_of(const AttentionCommand& command) {
  using attention::Mask;
  const bool limited = !command.window.empty() && command.window != std::vector<int>{-1, -1};
  if (limited) return command.causal_top_left ? Mask::kWindowTopLeft : Mask::kWindow;
  if (command.causal_top_left) return Mask::kCausalTopLeft;
  return command.causal ? Mask::kCausal : Mask::kFull;
}

}  // namespace

Result<AttentionArrays> read_arrays(const AttentionCommand& command) {
  const bool packed = !command.lengths.empty();
  AttentionArrays arrays;
  FMS_TRY(arrays.q, read_array(command.q, command.dtype, packed));
  FMS_TRY(arrays.k, read_array(command.k, command.dtype, packed));
  FMS_TRY(arrays.v, read_array(command.v, command.dtype, packed));
  FMS_TRY(arrays.sinks, read_sinks(command.sinks));
  if (!command.bias.empty()) {
    FMS_TRY(arrays.bias, read_npy(command.bias));
    // As it is of q, where NumPy has no such type.
    if (arrays.bias.stored_as_bits) arrays.bias.dtype = arrays.q.dtype;
  }
  FMS_TRY(arrays.members, read_members(command.mods_args));
  if (packed) {
    FMS_TRY(arrays.first_queries, starts_of(command.lengths, arrays.q, "q"));
    FMS_TRY(arrays.first_keys, starts_of(key_lengths(command), arrays.k, "k"));
  }
  return arrays;
}

Result<attention::Problem> problem_of(const AttentionCommand& command,
                                      const AttentionArrays& arrays) {
  const NpyArray &q = arrays.q, &k = arrays.k, &v = arrays.v;
  const bool packed = !command.lengths.empty();
  if (!std::equal(k.shape.begin(), k.shape.end() - 1, v.shape.begin())) {
    return refuse(fmt::format("k has the shape {} and v {}; all but the last must be equal",
                              shape_to_string(k.shape), shape_to_string(v.shape)));
  }
  if ((!packed && q.shape[0] != k.shape[0]) || q.shape.back() != k.shape.back()) {
    return refuse(fmt::format("q has the shape {} and k {}; {}head_dim must be equal",
                              shape_to_string(q.shape), shape_to_string(k.shape),
                              packed ? "" : "batch and "));
  }
  if (q.dtype != k.dtype || q.dtype != v.dtype) {
    return refuse(fmt::format("q, k and v are {}, {} and {}; they must be equal",
                              to_string(q.dtype), to_string(k.dtype), to_string(v.dtype)));
  }
  attention::Problem problem{.dtype = q.dtype,
                             .heads = static_cast<int>(q.shape[1]),
                             .kv_heads = static_cast<int>(k.shape[1]),
                             .head_dim = static_cast<int>(q.shape.back()),
                             .value_dim = static_cast<int>(v.shape.back()),
                             .mask = mask_of(command),
                             .softcap = command.softcap != 0,
                             .sinks = !command.sinks.empty(),
                             .packed = packed,
                             .return_lse = !command.lse.empty()};
  if (packed) {
    problem.seq_q = std::ranges::max(command.lengths);
    problem.seq_k = std::ranges::max(key_lengths(command));
    problem.batch = static_cast<int>(command.lengths.size());
    if (key_lengths(command).size() != command.lengths.size()) {
      return refuse("--lengths and --key-lengths are of as many sequences");
    }
  } else {
    problem.batch = static_cast<int>(q.shape[0]);
    problem.seq_q = static_cast<int>(q.shape[2]);
    problem.seq_k = static_cast<int>(k.shape[2]);
  }
  if (v.shape.back() == 0) return refuse("v has rows of no elements");
  if (problem.sinks && arrays.sinks.size() != static_cast<std::size_t>(problem.heads)) {
    return refuse(fmt::format("{} has {} sinks, and q has {} heads", command.sinks,
                              arrays.sinks.size(), problem.heads));
  }
  FMS_TRY(problem.mods, mods_of(command, arrays, problem));
  FMS_TRY_VOID(attention::check(problem));
  return problem;
}

AttentionInputs inputs_of(const AttentionCommand& command, const AttentionArrays& arrays,
                          const attention::Problem& problem) {
  AttentionInputs inputs{.q = arrays.q.data,
                         .k = arrays.k.data,
                         .v = arrays.v.data,
                         .scale = command.scale,
                         .softcap = command.softcap,
                         .sinks = arrays.sinks,
                         .first_queries = arrays.first_queries,
                         .first_keys = arrays.first_keys,
                         .members = arrays.members};
  if (!command.bias.empty()) add_bias(arrays.bias, problem, inputs);
  if (problem.mask == attention::Mask::kWindow || problem.mask == attention::Mask::kWindowTopLeft) {
    const bool causal = command.causal || command.causal_top_left;
    inputs.window_left = command.window[0];
    inputs.window_right = causal ? 0 : command.window[1];
  }
  return inputs;
}

}  // namespace fms::program
