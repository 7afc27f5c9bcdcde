#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/ops/attention.h"

namespace fms::attention {

// The tile of attention_forward_simt: attention/simt_traits.cuh says what each number is.
struct Tile {
  int block_m = 0, block_n = 0, threads = 0, lanes = 0;
  int blocks = 1;  // that fit on an SM at once

  bool operator==(const Tile&) const = default;
};

// Dynamic shared memory of a block: what SimtAttentionTraits::kSmemBytes is on the device.
std::int64_t smem_bytes(const Tile& tile, int head_dim, int value_dim);

// What of a device and a target counts for a plan.
struct Room {
  Target::Kind kind = Target::Kind::kCuda;
  int max_smem_per_block_bytes = 0;
  int sm_count = 0;       // with clusters; nothing else depends on it
  bool sm_80 = false;     // or later: mma.sync of 16-bit types, and cp.async
  bool clusters = false;  // sm_90 or later
  bool sm_90a = false;    // it is compiled for: code for sm_90 has neither wgmma nor setmaxnreg

  bool operator==(const Room&) const = default;
};

Room room_of(const DeviceInfo& device);               // one that runs code for its own target
Room room_for(const Jit& jit, const Device& device);  // one that runs what `jit` compiles for it
Room room_of(const Target& target);                   // of the common device of that architecture

// How rows of q, k, v and o may be reached: each includes those before it.
enum class Access : std::uint8_t {
  kElements,  // one at a time
  kVectors,   // four at a time
  kUnits,     // 16 bytes at a time, all being at multiples of that; and the scale is positive
  kBulk,      // by the copy engine: strides go forwards, too
};

// The most that the plan of a problem makes use of: with more it is the same.
Access best_access(const Problem& problem, const Room& room);

// The entry of a problem whose arrays can be reached so, and no better. Other readers take it for
// one whose arrays can.
ManifestEntry to_manifest_entry(const Problem& problem, Access access);
// What an entry says of that; kBulk if nothing. REQUIRES: from_manifest_entry() has taken it.
Access access_of(const ManifestEntry& entry);

// attention::plans() where the arrays can be reached so.
Result<std::vector<Plan>> plans(const Problem& problem, const Target& target,
                                const Tunings& tunings, Access access);

// For few queries, as when a model decodes, rows of a large tile would be empty.
bool has_few_queries(const Problem& problem);

// The tile of attention_forward_simt for a problem, by its structure, by whether it has few
// queries, and by the room. Nothing else of the sizes counts: a new length must find its dynamic
// variant compiled.
Tile choose_tile(const Problem& problem, const Room& room);

// A plan, and what forward() is to pass to the kernel.
struct ForwardPlan {
  Plan plan;
  // Rows of the boxes in which attention_forward_sm90 has its arrays copied. 0: the kernel is
  // another one and takes pointers.
  int query_rows = 0, key_rows = 0;
  // Of its tile, and the order in which it visits tiles of keys: for a block table.
  int block_m = 0, block_n = 0;
  bool from_last = false;
};

// The parameters that all templates have, in their order, for a problem.
std::vector<Specialization::NamedValue> values_of(const Problem& problem);

// Launches the kernel of a plan. REQUIRES: forward() has found no fault with problem and arguments,
// and they allow the plan's access.
Result<void> launch_plan(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments);

// plan() for what the arrays allow. `tile` is one of attention_candidates.h in text, to be used
// instead of the one that is chosen for the problem; passed over if it is none of those.
Result<ForwardPlan> plan_with(const Problem& problem, const Room& room, Access access,
                              std::string_view tile = {});

}  // namespace fms::attention
