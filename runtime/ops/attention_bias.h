#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/device.h"
#include "runtime/ops/attention.h"

namespace fms::attention {

// What problem.mods and arguments.mods are to be instead.
struct BiasTiles {
  std::shared_ptr<const Mods> mods;
  std::vector<std::byte> bytes;  // of the struct, which points to the array
};

// On Hopper an array that Mods::embedded("bias") adds, of the dtype of q, can come through shared
// memory, if its rows start at multiples of 16 bytes. Nothing where that isn't what is asked.
Result<std::optional<BiasTiles>> bias_as_tiles(const Device& device, const Problem& problem,
                                               const Arguments& arguments);

}  // namespace fms::attention
