#pragma once

// What the fake driver knows; shared by its sources.

#include <sys/types.h>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/driver.h"  // for cuda.h alone
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms::fake {

struct DeviceFacts {
  const char* name;
  int capability_major, capability_minor, sm_count, smem_per_sm, smem_per_block_optin, l2_bytes;
};

inline constexpr std::array<DeviceFacts, 2> kDevices{
    DeviceFacts{"Fake H100", 9, 0, 132, 233'472, 232'448, 52'428'800},
    DeviceFacts{"Fake A100", 8, 0, 108, 167'936, 166'912, 41'943'040}};
inline constexpr int kReservedSmemBytes = 1024;
inline constexpr std::size_t kMemoryBytes = std::size_t{80} << 30;

// The opaque things that a CUcontext, CUstream, ... points at.
struct FakePrimary {
  int device = 0;
  int retained = 0;
};
struct FakeStream {
  int device = 0;
  bool capturing = false;
};
struct FakeEvent {
  int device = 0;
  int recorded_at = -1;  // a tick; -1: never
};
struct FakeLibrary;
// A CUkernel; as a CUfunction on device i it is &functions[i].
struct FakeFunction {
  struct OnDevice {
    FakeFunction* function = nullptr;
    int device = 0;
  };
  std::string name;
  Resources resources;
  int max_dynamic_smem = -1;
  std::array<OnDevice, 2> on_device;
};
struct FakeLibrary {
  std::vector<std::byte> image;
  std::map<std::string, std::unique_ptr<FakeFunction>> functions;
};

struct State {
  std::mutex mutex;
  // All guarded by mutex.
  pid_t initialised_by = 0;
  int device_count = 2;
  std::array<FakePrimary, 2> contexts{FakePrimary{0, 0}, FakePrimary{1, 0}};
  std::map<FakeStream*, std::unique_ptr<FakeStream>> streams;
  std::map<FakeEvent*, std::unique_ptr<FakeEvent>> events;
  std::map<FakeLibrary*, std::unique_ptr<FakeLibrary>> libraries;
  std::map<CUdeviceptr, std::unique_ptr<std::vector<std::byte>>> allocations;
  bool default_stream_capturing = false;
  int ticks = 0;
  std::vector<FakeLaunch> launches;
  std::function<void(const FakeLaunch&)> on_launch;
  std::map<std::string, int, std::less<>> calls;
  std::map<std::string, std::deque<CUresult>, std::less<>> failures;

  // At the start of every function: counts it, and says whether it fails from the outset.
  CUresult enter(std::string_view function);
  bool any_capturing() const;
  // The stream's record if it is one of `device`. Null, the default stream, is of every device.
  CUresult check_stream(CUstream stream, int device, bool* capturing = nullptr) const;
};

State& state();

// The calling thread's device, or -1.
int current_device();
CUcontext& current_context();

// What of a kernel is in an image: a cubin, PTX, or what fake_object() makes. Nothing: the image
// has no such kernel.
CUresult measure_image(const void* image, std::vector<std::byte>& copy);
Result<Resources> find_in_image(const std::vector<std::byte>& image, std::string_view name);
Result<Target> target_of_image(const std::vector<std::byte>& image);  // only of fake_object()

}  // namespace fms::fake

// The body of every exported function starts with this.
#define FAKE_ENTER(function)                   \
  fms::fake::State& fake = fms::fake::state(); \
  const std::lock_guard fake_lock(fake.mutex); \
  if (const CUresult fake_code = fake.enter(function)) return fake_code
