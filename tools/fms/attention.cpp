#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tools/fms/attention_arrays.h"

namespace fms::program {
namespace {

struct AttentionReport {
  attention::Problem problem;
  std::string target;
  std::optional<AttentionCheck> check;
  std::optional<double> median_ms;
};

Result<void> write_outputs(const AttentionCommand& command, const attention::Problem& problem,
                           const NpyArray& q, AttentionOutputs& outputs) {
  // The arrays move into the files' form and back: they may be large.
  NpyArray o{.dtype = problem.dtype, .shape = q.shape, .data = std::move(outputs.o)};
  o.shape.back() = problem.value_columns();
  FMS_TRY_VOID(write_npy(command.out, o));
  outputs.o = std::move(o.data);
  if (command.lse.empty()) return {};
  NpyArray lse{.dtype = DType::kFloat32, .shape = {q.shape[0], q.shape[1], q.shape[2]}};
  if (problem.packed) lse.shape = {q.shape[1], q.shape[0]};
  lse.data.resize(outputs.lse.size() * sizeof(float));
  if (!lse.data.empty()) std::memcpy(lse.data.data(), outputs.lse.data(), lse.data.size());
  return write_npy(command.lse, lse);
}

Result<AttentionReport> compute(const AttentionCommand& command) {
  // What needs no device comes first, so that a mistake is told anywhere.
  FMS_TRY(const AttentionArrays arrays, read_arrays(command));
  FMS_TRY(const attention::Problem problem, problem_of(command, arrays));
  if (command.check && !command.mods.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "--check doesn't know what functions of yours compute; compare with --device cpu");
  }
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
  auto* bias = app.add_option("--bias", command.bias,
                              "added to the scores: broadcasts to (batch, heads, seq_q, seq_k)");
  bias->type_name("FILE");
  auto* mods = app.add_option("--mods", command.mods,
                              "functions of scores and masks: a file with a struct Mods, or alibi, "
                              "documents or bias")
                   ->type_name("FILE|NAME")
                   ->excludes(bias);
  app.add_option(
         "--mods-arg", command.mods_args,
         "a member of the struct, in its order: in:FILE.npy or DTYPE:VALUE; may be repeated")
      ->type_name("ARG")
      ->allow_extra_args(false)
      ->needs(mods);
  auto* lengths = app.add_option("--lengths", command.lengths,
                                 "sequences of these lengths lie one behind the other in arrays of "
                                 "(total, heads, head_dim)");
  lengths->type_name("N,N,...")->delimiter(',')->check(CLI::Range(0, 1 << 30));
  app.add_option("--key-lengths", command.key_lengths, "those of k and v (default: as --lengths)")
      ->type_name("N,N,...")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 30))
      ->needs(lengths);
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
