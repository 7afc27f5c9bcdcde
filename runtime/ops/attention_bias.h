#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/device.h"
#include "runtime/ops/attention.h"

namespace fms::attention {

// Numbers that are added to the scores, in device memory: (batch, heads, seq_q, seq_k) of the
// problem's dtype, keys contiguous. A stride of 0 has all batches, heads or queries share them.
struct Bias {
  const void* data = nullptr;
  Strides strides;
};

// Functions that add a bias, for a problem: what problem.mods and arguments.mods are to be.
struct BiasMods {
  std::shared_ptr<const Mods> mods;
  std::vector<std::byte> bytes;  // of the struct, which points to the array
};

// On Hopper an array whose rows start at multiples of 16 bytes is copied by the copy engine, as
// tiles; any other is read number by number.
Result<BiasMods> bias_mods(const Device& device, const Problem& problem, const Bias& bias);

}  // namespace fms::attention
