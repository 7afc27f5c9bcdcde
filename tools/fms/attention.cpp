#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tools/fms/attention_run.h"
#include "tools/fms/command.h"
#include "tools/fms/npy.h"

namespace fms::program {
namespace {

struct AttentionCommand {
  CommonOptions common;
  std::string q, k, v, out, lse;
  bool causal = false, causal_top_left = false, check = false;
  std::vector<int> window;  // left, right; empty: none
  float scale = 0, softcap = 0;
  std::string sinks;
  std::string dtype, policy;
  int repeat = 0;
  std::string device;
};

struct AttentionReport {
  attention::Problem problem;
  std::string target;
  std::optional<AttentionCheck> check;
  std::optional<double> median_ms;
};

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

Result<NpyArray> read_array(const std::string& file, const std::string& dtype) {
  FMS_TRY(NpyArray array, read_npy(file));
  if (array.shape.size() != 4) {
    return refuse(fmt::format("{} has the shape {}; it must be (batch, heads, seq, head_dim)", file,
                              shape_to_string(array.shape)));
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

struct AttentionArrays {
  NpyArray q, k, v;
  std::vector<float> sinks;
};

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

Result<AttentionArrays> read_arrays(const AttentionCommand& command) {
  AttentionArrays arrays;
  FMS_TRY(arrays.q, read_array(command.q, command.dtype));
  FMS_TRY(arrays.k, read_array(command.k, command.dtype));
  FMS_TRY(arrays.v, read_array(command.v, command.dtype));
  FMS_TRY(arrays.sinks, read_sinks(command.sinks));
  return arrays;
}

// A window with a causal mask ends at the query itself.
attention::Mask mask_of(const AttentionCommand& command) {
  using attention::Mask;
  const bool limited = !command.window.empty() && command.window != std::vector<int>{-1, -1};
  if (limited) return command.causal_top_left ? Mask::kWindowTopLeft : Mask::kWindow;
  if (command.causal_top_left) return Mask::kCausalTopLeft;
  return command.causal ? Mask::kCausal : Mask::kFull;
}

AttentionInputs inputs_of(const AttentionCommand& command, const AttentionArrays& arrays,
                          const attention::Problem& problem) {
  AttentionInputs inputs{.q = arrays.q.data,
                         .k = arrays.k.data,
                         .v = arrays.v.data,
                         .scale = command.scale,
                         .softcap = command.softcap,
                         .sinks = arrays.sinks};
  if (problem.mask == attention::Mask::kWindow || problem.mask == attention::Mask::kWindowTopLeft) {
    const bool causal = command.causal || command.causal_top_left;
    inputs.window_left = command.window[0];
    inputs.window_right = causal ? 0 : command.window[1];
  }
  return inputs;
}

Result<attention::Problem> problem_of(const AttentionCommand& command,
                                      const AttentionArrays& arrays) {
  const auto& [q, k, v, sinks] = arrays;
  if (!std::equal(k.shape.begin(), k.shape.end() - 1, v.shape.begin())) {
    return refuse(fmt::format("k has the shape {} and v {}; all but the last must be equal",
                              shape_to_string(k.shape), shape_to_string(v.shape)));
  }
  if (q.shape[0] != k.shape[0] || q.shape[3] != k.shape[3]) {
    return refuse(fmt::format("q has the shape {} and k {}; batch and head_dim must be equal",
                              shape_to_string(q.shape), shape_to_string(k.shape)));
  }
  if (q.dtype != k.dtype || q.dtype != v.dtype) {
    return refuse(fmt::format("q, k and v are {}, {} and {}; they must be equal",
                              to_string(q.dtype), to_string(k.dtype), to_string(v.dtype)));
  }
  attention::Problem problem{.dtype = q.dtype,
                             .batch = static_cast<int>(q.shape[0]),
                             .heads = static_cast<int>(q.shape[1]),
                             .kv_heads = static_cast<int>(k.shape[1]),
                             .seq_q = static_cast<int>(q.shape[2]),
                             .seq_k = static_cast<int>(k.shape[2]),
                             .head_dim = static_cast<int>(q.shape[3]),
                             .value_dim = static_cast<int>(v.shape[3]),
                             .mask = mask_of(command),
                             .softcap = command.softcap != 0,
                             .sinks = !command.sinks.empty(),
                             .return_lse = !command.lse.empty()};
  if (v.shape[3] == 0) return refuse("v has rows of no elements");
  if (problem.sinks && sinks.size() != static_cast<std::size_t>(problem.heads)) {
    return refuse(fmt::format("{} has {} sinks, and q has {} heads", command.sinks, sinks.size(),
                              problem.heads));
  }
  FMS_TRY_VOID(attention::check(problem));
  return problem;
}

Result<void> write_outputs(const AttentionCommand& command, const attention::Problem& problem,
                           const NpyArray& q, AttentionOutputs& outputs) {
  // The arrays move into the files' form and back: they may be large.
  NpyArray o{.dtype = problem.dtype, .shape = q.shape, .data = std::move(outputs.o)};
  o.shape[3] = problem.value_columns();
  FMS_TRY_VOID(write_npy(command.out, o));
  outputs.o = std::move(o.data);
  if (command.lse.empty()) return {};
  NpyArray lse{.dtype = DType::kFloat32, .shape = {q.shape[0], q.shape[1], q.shape[2]}};
  lse.data.resize(outputs.lse.size() * sizeof(float));
  if (!lse.data.empty()) std::memcpy(lse.data.data(), outputs.lse.data(), lse.data.size());
  return write_npy(command.lse, lse);
}

Result<AttentionReport> compute(const AttentionCommand& command) {
  // What needs no device comes first, so that a mistake is told anywhere.
  FMS_TRY(const AttentionArrays arrays, read_arrays(command));
  FMS_TRY(const attention::Problem problem, problem_of(command, arrays));
  FMS_TRY(JitOptions options, jit_options(command.common));
  options.policy = Policy::kExact;
  if (!command.policy.empty()) {
    FMS_TRY(options.policy, parse_policy(command.policy));
  }
  FMS_TRY(const auto device, choose_device(command.device, options));
  FMS_TRY(Jit jit, Jit::create(std::move(options)));
  const AttentionInputs inputs = inputs_of(command, arrays, problem);
  FMS_TRY(AttentionOutputs outputs, run_attention(jit, device, problem, inputs, command.repeat));
  FMS_TRY_VOID(write_outputs(command, problem, arrays.q, outputs));
  AttentionReport report{
      .problem = problem, .target = device->target().to_string(), .median_ms = outputs.median_ms};
  if (command.check) {
    FMS_TRY(report.check, check_attention(problem, inputs, outputs));
  }
  return report;
}

nlohmann::json to_json(const attention::Comparison& comparison) {
  return {{"max_error", comparison.max_error},
          {"relative_error", comparison.relative_error},
          {"worst_over_bound", comparison.worst},
          {"ok", comparison.within_tolerance()}};
}

void print_comparison(const char* what, const attention::Comparison& comparison) {
  fmt::print("{:<4} max error {:.3e}, relative {:.3e}, worst {:.3f} of its bound{}\n", what,
             comparison.max_error, comparison.relative_error, comparison.worst,
             comparison.within_tolerance() ? "" : ": OVER");
  if (!comparison.within_tolerance()) {
    fmt::print(stderr, "fms: {} is over its bound at batch {}, head {}, query {}, column {}\n",
               what, comparison.row.batch, comparison.row.head, comparison.row.query,
               comparison.column);
  }
}

int print(const AttentionCommand& command, const AttentionReport& report) {
  const bool ok = !report.check || report.check->ok();
  if (command.common.json) {
    nlohmann::json object = nlohmann::json::object();
    const ManifestEntry entry = attention::to_manifest_entry(report.problem);
    object["problem"] = nlohmann::json::parse(to_json_line(entry), nullptr, false);
    object["target"] = report.target;
    if (report.median_ms) object["median_ms"] = *report.median_ms;
    if (report.check) {
      object["check"] = to_json(report.check->output);
      object["check"]["rows"] = report.check->rows;
      object["check"]["all_rows"] = report.check->all_rows;
      if (report.check->lse) object["check_lse"] = to_json(*report.check->lse);
    }
    fmt::print("{}\n", object.dump(2));
    return ok ? kOk : kFalse;
  }
  if (report.median_ms) {
    fmt::print("{:.4f} ms, the median of {}\n", *report.median_ms, command.repeat);
  }
  if (report.check) {
    fmt::print("{} of {} rows compared with fp64\n", report.check->rows, report.check->all_rows);
    print_comparison("o", report.check->output);
    if (report.check->lse) print_comparison("lse", *report.check->lse);
  }
  return ok ? kOk : kFalse;
}

void add_options(CLI::App& app, AttentionCommand& command) {
  app.add_option("--q", command.q, "queries")->type_name("FILE")->required();
  app.add_option("--k", command.k, "keys")->type_name("FILE")->required();
  app.add_option("--v", command.v, "values")->type_name("FILE")->required();
  app.add_option("--out", command.out, "where the result goes")->type_name("FILE")->required();
  app.add_option("--lse", command.lse, "write log-sum-exp, (batch, heads, seq), here")
      ->type_name("FILE");
  auto* causal = app.add_flag("--causal", command.causal, "aligned to the last key");
  app.add_flag("--causal-top-left", command.causal_top_left, "aligned to the first key")
      ->excludes(causal);
  app.add_option("--window", command.window,
                 "keys that a query sees before and after its own, -1: all of them")
      ->type_name("LEFT,RIGHT")
      ->expected(2)
      ->delimiter(',');
  app.add_option("--softcap", command.softcap, "scores are S * tanh(score / S)")->type_name("S");
  app.add_option("--sinks", command.sinks, "a logit of each head in the sum of weights, float32")
      ->type_name("FILE");
  app.add_option("--scale", command.scale, "of the scores (default: 1 / sqrt(head_dim))")
      ->type_name("S");
  app.add_option("--dtype", command.dtype, "what the arrays hold: needed for bf16 as uint16")
      ->type_name("T");
  app.add_option("--policy", command.policy, "auto, exact or dynamic (default: exact)")
      ->type_name("POLICY");
  app.add_flag("--check", command.check,
               "compare with fp64 on the CPU; exit code 1 if over the bound");
  app.add_option("--repeat", command.repeat,
                 "compute N times more, with a cold L2 cache, and print the median time")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--device", command.device, kDeviceHelp)->type_name("DEVICE");
}

}  // namespace

void add_attention(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<AttentionCommand>();
  CLI::App* app = program.add_subcommand("attention", "Compute attention on .npy arrays");
  app->footer(
      "Arrays are (batch, heads, seq, head_dim), float32, float16 or bfloat16; k and v may have\n"
      "fewer heads (GQA), and v another head_dim.\n\n"
      "Example:\n  fms attention --q q.npy --k k.npy --v v.npy --out o.npy --causal --check");
  add_common_options(*app, command->common, Json::kYes);
  add_options(*app, *command);
  app->callback([command, &exit_code] {
    const auto computed = compute(*command);
    exit_code = computed ? print(*command, *computed)
                         : report(command->common, "can't compute attention", computed.error());
  });
}

}  // namespace fms::program
