#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/tuning.h"
#include "compiler/kernel_template.h"
#include "compiler/target.h"
#include "runtime/device.h"

namespace fms {

// What the tiers of a store say was measured to be the fastest, for the compilers at hand.
//
// Immutable: a process keeps to what it read at first, so that it doesn't change its results while
// it runs. Safe to share among threads.
class Tunings {
 public:
  Tunings() = default;
  // Of two for the same the first counts.
  explicit Tunings(std::vector<Tuning> all);

  // Different for different ones of a process; 0 for all that are empty.
  std::uint64_t id() const { return id_; }

  // The one for a device, a template's very text and a problem; null: nothing was measured.
  const Tuning* find(const KernelTemplate& kernel_template, const Target& target,
                     std::string_view device, std::string_view problem) const;
  // Those for all devices that run code for the target.
  std::vector<const Tuning*> of_all_devices(const KernelTemplate& kernel_template,
                                            const Target& target, std::string_view problem) const;

 private:
  std::vector<Tuning> all_;
  std::uint64_t id_ = 0;
};

// A device as tunings name it: "NVIDIA H100 80GB HBM3, 132 SMs". Cards of one name differ in SMs.
std::string tuned_device(const DeviceInfo& device);

}  // namespace fms
