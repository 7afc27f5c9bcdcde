#include "runtime/tunings.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

namespace fms {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Tunings::Tunings(std::vector<Tuning> all)
    : all_(std::move(all)), id_(all_.empty() ? 0 : next_id()) {}

std::vector<const Tuning*> Tunings::of_all_devices(const KernelTemplate& kernel_template,
                                                   const Target& target,
                                                   std::string_view problem) const {
  std::vector<const Tuning*> found;
  if (all_.empty()) return found;
  const std::string for_target = target.to_string(), digest = kernel_template.digest().hex();
  for (const Tuning& each : all_) {
    if (each.template_name == kernel_template.name() && each.template_digest == digest &&
        each.target == for_target && each.problem == problem) {
      found.push_back(&each);
    }
  }
  return found;
}

const Tuning* Tunings::find(const KernelTemplate& kernel_template, const Target& target,
                            std::string_view device, std::string_view problem) const {
  for (const Tuning* each : of_all_devices(kernel_template, target, problem)) {
    if (each->device == device) return each;
  }
  return nullptr;
}

std::string tuned_device(const DeviceInfo& device) {
  return fmt::format("{}, {} {}", device.name, device.sm_count,
                     device.compute_capability == 0 ? "cores" : "SMs");
}

}  // namespace fms
