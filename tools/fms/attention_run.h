#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "compiler/result.h"
#include "runtime/jit.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/attention_reference.h"

namespace fms::program {

// Arrays in host memory, packed (batch, heads, seq, head_dim), of the problem's dtype; and what
// its options come with.
struct AttentionInputs {
  std::span<const std::byte> q, k, v;
  float scale = 0;  // 0: 1 / sqrt(head_dim)
  int window_left = -1, window_right = -1;
  float softcap = 0;
  std::span<const float> sinks;  // of each head, with problem.sinks
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
