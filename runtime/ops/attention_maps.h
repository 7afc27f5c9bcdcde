#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/tensor_map.h"

namespace fms::attention {

// fms::MapsOf of the template: its box being as wide as its columns are, the last panel has a map
// of its own where it is neither the only one nor a whole one.
struct PanelMaps {
  static constexpr int kPanel = 64;  // columns

  TensorMap whole, last;
  int columns = 0;

  std::size_t count() const { return columns > kPanel && columns % kPanel != 0 ? 2 : 1; }
};

// How attention_forward_sm90 finds its arrays.
struct Maps {
  PanelMaps q, k, v;
};

// Those of a call: of arrays that were described before they are the ones that were made then.
// Thread-safe. REQUIRES: the arguments allow Access::kBulk.
Result<std::shared_ptr<const Maps>> maps_of(const Device& device, const ForwardPlan& plan,
                                            const Problem& problem, const Arguments& arguments);

}  // namespace fms::attention
