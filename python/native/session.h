#pragma once

#include <dlpack/dlpack.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/jit.h"

namespace fms::python {

// The Jit that this process uses, and the devices it has opened.
//
// Made at its first use, from the environment and what configure() was given. A child of fork()
// makes its own: the parent's threads aren't there. Thread-safe; no lock is held while anything is
// compiled.
class Session {
 public:
  static Session& get();

  Result<Jit> jit(std::uint64_t* generation = nullptr);  // and which generation it is
  std::optional<Jit> opened();                           // nothing: not made yet

  // Grows with every change of the Jit: what was taken from an earlier one must be asked for again.
  std::uint64_t generation() const { return generation_.load(std::memory_order_relaxed); }

  // Whether kernels for a CPU that it has made check their addresses (JitOptions::sanitize).
  bool checks_addresses() const { return checks_addresses_.load(std::memory_order_relaxed); }

  // Uses these options from now on. Gives what was in use, for restore().
  struct State {
    std::optional<JitOptions> options;  // nothing: from the environment
    std::optional<Jit> jit;
  };
  State configure(std::optional<JitOptions> options);
  void restore(State state);
  Result<JitOptions> options();  // that the Jit has or will be made with

  // Where Python keeps its packages, NVIDIA's wheels among them. Before the first use.
  void set_site_packages(std::vector<std::filesystem::path> folders);
  Result<JitOptions> from_environment();  // and with those folders

  // Opened once, and kept: opening takes longer than a launch.
  Result<std::shared_ptr<Device>> device(DLDevice which);
  void close_devices();  // those that nothing else uses
  // Where a kernel without arrays runs: the first CUDA device, or the CPU if there is none.
  Result<DLDevice> default_device();

 private:
  Session();
  Result<JitOptions> with_packages() const;  // REQUIRES: mutex_ is held
  void use(std::optional<Jit> jit);          // REQUIRES: mutex_ is held
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();

  std::mutex mutex_;
  std::optional<JitOptions> options_;                 // guarded by mutex_
  std::vector<std::filesystem::path> site_packages_;  // guarded by mutex_
  std::optional<Jit> jit_;                            // guarded by mutex_
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<bool> checks_addresses_{false};  // of jit_; false while there is none

  struct Opened {
    DLDevice which;
    std::shared_ptr<Device> device;
  };
  std::mutex devices_mutex_;
  std::vector<Opened> devices_;  // guarded by devices_mutex_
};

}  // namespace fms::python
