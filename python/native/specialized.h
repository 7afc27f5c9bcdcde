#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "python/native/argument.h"
#include "python/native/session.h"
#include "python/native/signature.h"
#include "runtime/kernel.h"

namespace fms::python {

// A specialisation, its kernel's parameters, and the kernels that launches of it have used: one for
// each device. Guarded by the GIL.
class Specialized {
 public:
  Specialized(Specialization specialization,
              const std::optional<std::vector<KernelParameter>>& parameters,
              std::optional<Policy> policy);

  const Specialization& specialization() const { return specialization_; }

  // The kernel for a device: at once if it is loaded; else built, where Ctrl-C ends it. Nothing: a
  // Python error is set.
  std::optional<Kernel> find(DLDevice device, StreamView stream);

  // Has all variants built and loaded. False: a Python error is set.
  bool prepare(DLDevice device);

  // Converts the arguments and launches. False: a Python error is set, and nothing was started.
  bool launch(const Arguments& arguments, const LaunchConfig& config,
              std::optional<StreamView> stream);

  // Seconds that the driver alone takes for so many of these launches. Nothing: a Python error is
  // set.
  std::optional<double> time_raw(const Arguments& arguments, const LaunchConfig& config,
                                 std::optional<StreamView> stream, int count);

 private:
  // What a launch needs but for its grid and block. Most of it is left unset, as in Arguments: to
  // set the list took as long as to convert two arguments.
  struct Ready {
    DLDevice device;
    StreamView stream;
    std::optional<Kernel> kernel;
    std::array<PackedArgument, Arguments::kMost> packed;
    union {
      std::array<Argument, Arguments::kMost> list;
    };
    std::size_t count = 0;

    Ready() {}  // not "= default", which there is none of beside the union
    std::span<const Argument> arguments() const { return {list.data(), count}; }
  };
  struct Loaded {
    DLDevice which;
    std::uint64_t generation;
    std::shared_ptr<Device> device;
    std::optional<Kernel> kernel;  // nothing: ask the Jit, which may have a better one by now
  };

  // Finds the kernel and converts the arguments. False: a Python error is set.
  bool make_ready(const Arguments& arguments, std::optional<StreamView> stream, Ready& ready);
  Loaded* loaded_on(DLDevice device);
  std::optional<Kernel> build(DLDevice device, StreamView stream);
  void remember(Loaded loaded);
  bool check_count(std::size_t given) const;
  bool is_final() const;
  std::string takes() const;  // "saxpy(int n, float a, const T* x, T* y)"

  Specialization specialization_;
  std::optional<std::vector<KernelParameter>> parameters_;
  std::optional<Policy> policy_;
  bool prepared_ = false;
  std::vector<Loaded> loaded_;
};

}  // namespace fms::python
