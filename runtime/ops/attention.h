#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compiler/dtype.h"
#include "runtime/jit.h"

namespace fms::attention {

class Mods;  // runtime/ops/attention_mods.h

enum class Mask : std::uint8_t {
  kFull,
  kCausal,         // aligned to the last key: query i sees keys up to i + seq_k - seq_q
  kCausalTopLeft,  // aligned to the first: query i sees keys up to i
  kWindow,         // query i sees keys from i + seq_k - seq_q - window_left to ... + window_right
  kWindowTopLeft,  // the same without seq_k - seq_q
};

// What is asked: softmax(scale * Q K^T, masked) V, for each batch and head. All of it is structure:
// what a kernel is compiled for.
struct Problem {
  DType dtype = DType::kBFloat16;  // of q, k, v and o: float32, float16 or bfloat16
  int batch = 1;
  int heads = 1;             // of q
  int kv_heads = 1;          // of k and v; divides heads (GQA)
  int seq_q = 1, seq_k = 1;  // 0 too
  int head_dim = 64;         // of q and k; 1..256
  int value_dim = 0;         // of v and o; 1..256, or 0: as head_dim
  Mask mask = Mask::kFull;
  bool softcap = false;  // scores are cap * tanh(score / cap), before mods->score
  // A logit of each query head takes part in the sum of weights: a key with no value. It counts in
  // lse too.
  bool sinks = false;
  // Sequences of several lengths lie one behind the other, as cu_seqlens say. batch is their
  // number; seq_q and seq_k are at least the lengths of the longest.
  bool packed = false;
  bool return_lse = false;
  bool block_table = false;          // arguments.block_table says which tiles of keys are visited
  std::shared_ptr<const Mods> mods;  // the user's functions of scores and masks; null: none

  int value_columns() const { return value_dim == 0 ? head_dim : value_dim; }
  bool operator==(const Problem&) const = default;
};

// kInvalidArgument names the field and what it may be.
Result<void> check(const Problem& problem);

// With the text of `mods`, if there are any: it is all that warming needs.
ManifestEntry to_manifest_entry(const Problem& problem);
Result<Problem> from_manifest_entry(const ManifestEntry& entry);

// Strides in elements; the last dimension is contiguous.
struct Strides {
  std::int64_t batch = 0, head = 0, row = 0;

  bool operator==(const Strides&) const = default;
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
// All that forward() may make on a device of that target: plan()'s, and those of the tiles that
// were tuned on any such device. No two are the same.
Result<std::vector<Plan>> plans(const Problem& problem, const Target& target,
                                const Tunings& tunings);

// Which tiles of keys each tile of queries visits, in device memory: runtime/ops/block_table.h
// makes it. templates/attention/options.cuh says how it lies.
struct BlockTableView {
  const std::int32_t* counts = nullptr;
  const std::int32_t* tiles = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, width = 0;
  // What it is for: the tile of a kernel, and the lengths.
  int block_m = 0, block_n = 0, seq_q = 0, seq_k = 0;
};

// Device addresses. o: rows with no key to see are 0. lse: float32, (batch, heads, seq_q), packed:
// the natural logarithm of the sum of exp(score), and exp(sink) with sinks; -inf for a sum of
// nothing. lse and what belongs to an option (sinks, cu_seqlens, ...) is null unless the problem
// has it.
struct Arguments {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  void* o = nullptr;
  float* lse = nullptr;
  Strides q_strides, k_strides, v_strides, o_strides;
  float scale = 0;  // 0: 1 / sqrt(head_dim)
  // Of masks with a window: how many keys before and after its own a query sees. -1: all of them.
  int window_left = -1, window_right = -1;
  float softcap = 0;             // above 0 with problem.softcap, else 0
  const float* sinks = nullptr;  // float32, heads
  // With problem.packed: int32, batch + 1 each, never falling: sequence b has rows cu_seqlens_q[b]
  // to before cu_seqlens_q[b + 1]. Arrays are then (total, heads, head_dim), whose strides of a
  // batch don't count; lse is (heads, total_q).
  const std::int32_t* cu_seqlens_q = nullptr;
  const std::int32_t* cu_seqlens_k = nullptr;
  std::int64_t total_q = 0, total_k = 0;  // rows of the packed arrays
  // The bytes of the user's struct Mods, in host memory; read before forward() returns.
  const void* mods = nullptr;
  std::size_t mods_bytes = 0;
  BlockTableView block_table;
};

// Computes on `stream`, by the tile that was tuned on this device for problems of this kind, if the
// Jit's store has one (`fms tune`). Compiles by the Jit's policy; deterministic, and the same bits
// from the dynamic and the exact variant (law 11). Of `options` stream and record are this
// function's own.
Result<void> forward(Jit& jit, const std::shared_ptr<Device>& device, StreamView stream,
                     const Problem& problem, const Arguments& arguments,
                     const GetOptions& options = {});

}  // namespace fms::attention
