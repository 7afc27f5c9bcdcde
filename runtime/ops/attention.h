#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "compiler/dtype.h"
#include "runtime/jit.h"

namespace fms::attention {

enum class Mask : std::uint8_t {
  kFull,
  kCausal,         // aligned to the last key: query i sees keys up to i + seq_k - seq_q
  kCausalTopLeft,  // aligned to the first: query i sees keys up to i
};

// What is asked: softmax(scale * Q K^T, masked) V, for each batch and head.
struct Problem {
  DType dtype = DType::kBFloat16;  // of q, k, v and o: float32, float16 or bfloat16
  int batch = 1;
  int heads = 1;             // of q
  int kv_heads = 1;          // of k and v; divides heads (GQA)
  int seq_q = 1, seq_k = 1;  // 0 too
  int head_dim = 64;         // 1..256
  Mask mask = Mask::kFull;
  bool return_lse = false;

  bool operator==(const Problem&) const = default;
};

// kInvalidArgument names the field and what it may be.
Result<void> check(const Problem& problem);

ManifestEntry to_manifest_entry(const Problem& problem);
Result<Problem> from_manifest_entry(const ManifestEntry& entry);

// Strides in elements; the last dimension is contiguous.
struct Strides {
  std::int64_t batch = 0, head = 0, row = 0;
};
Strides bhsd_strides(int heads, int seq, int head_dim);  // (batch, heads, seq, head_dim), packed

// How it is computed: the specialisation with exact sizes, and the launch that goes with it and
// with its dynamic variant.
struct Plan {
  Specialization specialization;
  LaunchConfig config;
};
Result<Plan> plan(const Problem& problem, const DeviceInfo& device);
// For a target with no device at hand: as for the common device of that architecture.
Result<Plan> plan(const Problem& problem, const Target& target);

// Device addresses. o: rows with no key to see are 0. lse: float32, (batch, heads, seq_q), packed:
// the natural logarithm of the sum of exp(scale * score), -inf for such rows; null unless
// problem.return_lse.
struct Arguments {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  void* o = nullptr;
  float* lse = nullptr;
  Strides q_strides, k_strides, v_strides, o_strides;
  float scale = 0;  // 0: 1 / sqrt(head_dim)
};

// Computes on `stream`. Compiles by the Jit's policy; deterministic, and the same bits from the
// dynamic and the exact variant (law 11). Of `options` stream and record are this function's own.
Result<void> forward(Jit& jit, const std::shared_ptr<Device>& device, StreamView stream,
                     const Problem& problem, const Arguments& arguments,
                     const GetOptions& options = {});

}  // namespace fms::attention
