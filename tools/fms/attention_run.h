#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "compiler/result.h"
#include "runtime/jit.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/attention_reference.h"

namespace fms::program {

// A member of the user's struct Mods: the bytes of a number, or an array, which the struct has the
// address of.
struct ModsMember {
  std::vector<std::byte> bytes;
  bool is_array = false;
};

// Arrays in host memory, without gaps: (batch, heads, seq, head_dim), of the problem's dtype;
// of packed sequences (total, heads, head_dim). And what its options come with.
struct AttentionInputs {
  std::span<const std::byte> q, k, v;
  float scale = 0;  // 0: 1 / sqrt(head_dim)
  int window_left = -1, window_right = -1;
  float softcap = 0;
  std::span<const float> sinks;                             // of each head, with problem.sinks
  std::span<const std::int32_t> first_queries, first_keys;  // of each sequence, with problem.packed
  std::vector<ModsMember> members;                          // with problem.mods, in their order
  // What problem.mods compute, for check_attention().
  std::function<double(double score, int batch, int head, int query, int key)> score;
};

struct AttentionOutputs {
  std::vector<std::byte> o;
  std::vector<float> lse;  // empty unless the problem asks for it
  attention::Weights weights = attention::Weights::kFloat32;  // of the kernel
  std::optional<double> median_ms;
};

// Uploads, computes and downloads; `repeat` more times for the median time, if it isn't 0: on a GPU
// each of these finds its L2 cache empty.
// REQUIRES: check(problem), and arrays of its sizes.
Result<AttentionOutputs> run_attention(Jit& jit, const std::shared_ptr<Device>& device,
                                       const attention::Problem& problem,
                                       const AttentionInputs& inputs, int repeat);

struct AttentionCheck {
  attention::Comparison output;
  std::optional<attention::Comparison> lse;
  std::size_t rows = 0;  // compared, of all_rows
  std::size_t all_rows = 0;

  bool ok() const { return output.within_tolerance() && (!lse || lse->within_tolerance()); }
};

// Compares with attention in double precision on this machine's cores: every row, or as many as
// take about a second if that is fewer.
Result<AttentionCheck> check_attention(const attention::Problem& problem,
                                       const AttentionInputs& inputs,
                                       const AttentionOutputs& outputs);

}  // namespace fms::program
