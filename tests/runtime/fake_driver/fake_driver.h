#pragma once

// A stand-in for libcuda.so.1, so that the runtime's logic is tested where there is no GPU.
//
// It has two devices (0: "Fake H100", compute capability 9.0, 132 SMs; 1: "Fake A100", 8.0,
// 108 SMs). Memory is the host's and copies are real; kernels are found in their object code, and
// launches are recorded and compute nothing. Handles, current contexts, graph captures and forks
// are checked as the driver checks them.
//
// In a test:
//   target:   tests/runtime/CMakeLists.txt links every *_test.cpp with `fake_driver`.
//   open it:  TEST(...) { fms::use_fake_driver(); auto device = fms::Device::open(0); ... }
//   inspect:  fms::fake_launches(), fms::fake_calls("cuLibraryLoadData"), fms::fake_live()
//   disturb:  fms::fake_fail_next("cuMemAlloc", 2 /* CUDA_ERROR_OUT_OF_MEMORY */)
//             fms::fake_set_capturing(stream, true)
//   code:     real cubins and PTX from NVRTC load, and so does fake_object(), which needs no
//             compiler.
// Another program (the `fms` tool) takes it through LD_LIBRARY_PATH=<FMS_FAKE_DRIVER_DIR>, a macro
// that these tests are compiled with.
//
// Functions are named as in cuda.h, without _v2. Thread-safe.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/object_code.h"
#include "compiler/target.h"
#include "runtime/launch.h"

namespace fms {

// Makes Driver::get() open the fake from now on, with everything forgotten but what is alive. To
// be called first in each test, or in a fixture.
void use_fake_driver();

// One cuLaunchKernelEx that succeeded.
struct FakeLaunch {
  std::string kernel;
  int device = 0;
  void* stream = nullptr;
  Dim3 grid, block, cluster;
  std::uint32_t dynamic_smem_bytes = 0;
  bool cooperative = false;
  bool programmatic = false;
  bool captured = false;                          // into a graph
  std::vector<std::vector<std::byte>> arguments;  // the bytes of each
};

std::vector<FakeLaunch> fake_launches();  // in order

// Runs at each launch that succeeds, before it returns: what computes in the kernel's place. Null:
// nothing. Forgotten by fake_reset().
void fake_on_launch(std::function<void(const FakeLaunch&)> run);

int fake_calls(std::string_view function);  // how often it was called, failures included

// The next calls of `function`, `count` of them, fail with this CUresult.
void fake_fail_next(std::string_view function, int code, int count = 1);

// Whether `stream` (null: the default one) is recorded into a graph. While any is, what isn't
// allowed then (allocating, loading, synchronising) fails as in the driver.
void fake_set_capturing(StreamView stream, bool capturing);

void fake_set_device_count(int count);  // 0 to 2; 0: cuInit fails with CUDA_ERROR_NO_DEVICE

// Things that were made and not released.
struct FakeLive {
  int contexts = 0, streams = 0, events = 0, allocations = 0, libraries = 0;

  bool operator==(const FakeLive&) const = default;
};
FakeLive fake_live();

// Forgets launches, counts, failures to come and captures; two devices again.
void fake_reset();

// The dynamic shared memory that was allowed to the kernel of that name; -1: never set.
int fake_max_dynamic_smem(std::string_view kernel);

// A kernel that exists only for the fake.
struct FakeKernel {
  std::string name = "kernel";
  int registers = 32;
  int static_smem_bytes = 0;
  int max_threads = 0;                         // launch bounds; 0: none
  std::vector<std::uint32_t> parameter_sizes;  // each aligned as its size allows
};

// Object code for the fake, resources included. A cubin by its format, though no GPU would take it.
ObjectCode fake_object(const FakeKernel& kernel, const Target& target);

}  // namespace fms
