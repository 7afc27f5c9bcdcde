#include "runtime/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {
namespace {

constexpr int kSmemWithoutOptIn = 48 * 1024;

std::string_view entry_of(const ObjectCode& object) {
  return object.entry.empty() ? std::string_view("a library") : object.entry;
}

// PTX runs on whatever is not older; a suffix makes it as particular as a cubin is.
bool runs_on(const ObjectCode& object, int compute_capability) {
  const Target& target = object.target;
  if (target.kind != Target::Kind::kCuda || object.format == ObjectFormat::kElf) return false;
  const bool has_suffix =
      !target.arch.empty() && (target.arch.back() < '0' || target.arch.back() > '9');
  if (object.format == ObjectFormat::kPtx && !has_suffix) {
    return target.compute_capability() <= compute_capability;
  }
  return target.runs_on(compute_capability);
}

Result<void> check_target(const Device& device, const ObjectCode& object) {
  const bool fits =
      device.is_cpu()
          // Whether this processor has what the target has, the LLVM library finds out.
          ? object.target.kind == Target::Kind::kCpu && object.format == ObjectFormat::kElf
          : runs_on(object, device.info().compute_capability);
  if (fits) return {};
  return fail(
      ErrorCode::kUnsupported,
      fmt::format("can't load {} on {}: it is compiled for {}, and the device is {}; compile "
                  "it for that",
                  entry_of(object), describe(device), object.target.to_string(),
                  device.target().to_string()));
}

// What the driver says of a function it has loaded.
struct Loaded {
  int registers = 0;
  int static_smem_bytes = 0;
  int stack_bytes = 0;
  int max_threads = 0;                                     // of a block
  std::optional<std::vector<ParameterLayout>> parameters;  // nothing: a driver before 12.4
};

constexpr std::size_t kMaxParameters = 32764;  // of a byte each: a kernel takes no more bytes

// The first `count` parameters, or fewer if there are. No more are asked for: asking past the last
// one is an error, which compute-sanitizer would report.
std::optional<std::vector<ParameterLayout>> read_parameters(const Driver& driver,
                                                            CUfunction function,
                                                            std::size_t count) {
  if (!driver.call.func_get_param_info) return std::nullopt;
  std::vector<ParameterLayout> parameters;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t offset = 0;
    std::size_t size = 0;
    const CUresult code = driver.call.func_get_param_info(function, i, &offset, &size);
    if (code == CUDA_ERROR_INVALID_VALUE) return parameters;  // i is one past the last
    if (code != CUDA_SUCCESS) return std::nullopt;
    parameters.push_back({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(size)});
  }
  return parameters;
}

Result<Loaded> read_loaded(const Driver& driver, CUfunction function, const ObjectCode& object) {
  Loaded loaded;
  const std::pair<CUfunction_attribute, int*> attributes[] = {
      {CU_FUNC_ATTRIBUTE_NUM_REGS, &loaded.registers},
      {CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, &loaded.static_smem_bytes},
      {CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, &loaded.stack_bytes},
      {CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &loaded.max_threads}};
  for (const auto& [attribute, value] : attributes) {
    FMS_TRY_VOID(driver.check(
        driver.call.cuFuncGetAttribute(value, attribute, function), "cuFuncGetAttribute",
        [&] { return fmt::format("can't read what {} uses", object.entry); }));
  }
  // PTX doesn't say how many there are.
  const bool counted = object.format != ObjectFormat::kPtx;
  loaded.parameters = read_parameters(
      driver, function, counted ? object.resources.parameters.size() : kMaxParameters);
  return loaded;
}

// Shared memory that the driver keeps for itself in each block; some versions count it as the
// function's own.
int reserved_smem_bytes(const Device& device) {
  int ordinal_handle = 0;
  int bytes = 0;
  const DriverFunctions& call = device.driver().call;
  if (call.cuDeviceGet(&ordinal_handle, device.info().ordinal) != CUDA_SUCCESS ||
      call.cuDeviceGetAttribute(&bytes, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK,
                                ordinal_handle) != CUDA_SUCCESS) {
    return 0;
  }
  return bytes;
}

std::string to_text(const std::vector<ParameterLayout>& parameters) {
  std::string text;
  for (const ParameterLayout& parameter : parameters) {
    text += fmt::format("{}{}@{}", text.empty() ? "" : " ", parameter.size, parameter.offset);
  }
  return fmt::format("[{}]", text);
}

// The admission test: code that isn't what its record says is never launched.
Result<void> admit(const Device& device, const ObjectCode& object, const Loaded& loaded) {
  const Resources& said = object.resources;
  const auto refuse = [&](std::string_view what, const auto& driver_says, const auto& object_says) {
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("can't use {} on {}: the driver finds {} {}, its object code says {}; the "
                    "record isn't of this kernel: remove it (fms cache verify) and compile "
                    "again",
                    object.entry, describe(device), what, driver_says, object_says));
  };
  if (loaded.parameters && *loaded.parameters != said.parameters) {
    return refuse("parameters (size@offset)", to_text(*loaded.parameters),
                  to_text(said.parameters));
  }
  const int smem = loaded.static_smem_bytes;
  if (smem != said.static_smem_bytes &&
      std::abs(smem - said.static_smem_bytes) != reserved_smem_bytes(device)) {
    return refuse("bytes of static shared memory:", smem, said.static_smem_bytes);
  }
  // Tools that instrument code, such as compute-sanitizer, may add registers but don't remove any;
  // and more registers may leave room for fewer threads.
  if (loaded.registers < said.registers) {
    return refuse("registers:", loaded.registers, said.registers);
  }
  if (said.max_threads > 0 && loaded.max_threads > said.max_threads) {
    return refuse("threads of a block at most:", loaded.max_threads, said.max_threads);
  }
  return {};
}

// What the object code doesn't say: PTX has no registers until the driver has compiled it.
Resources complete(const ObjectCode& object, const Loaded& loaded) {
  Resources resources = object.resources;
  if (object.format != ObjectFormat::kPtx) return resources;
  resources.registers = loaded.registers;
  resources.static_smem_bytes = loaded.static_smem_bytes;
  resources.stack_bytes = loaded.stack_bytes;
  if (loaded.parameters) resources.parameters = *loaded.parameters;
  return resources;
}

// Allows the function all that a launch may ask for, once: per launch this would cost a driver call
// and, from several threads, a race.
Result<int> raise_limits(const Device& device, CUfunction function, std::string_view entry,
                         const Loaded& loaded) {
  const Driver& driver = device.driver();
  const auto set = [&](CUfunction_attribute attribute, int value) {
    return driver.check(
        driver.call.cuFuncSetAttribute(function, attribute, value), "cuFuncSetAttribute",
        [&] { return fmt::format("can't raise the limits of {} on {}", entry, describe(device)); });
  };
  const int dynamic =
      std::max(0, device.info().max_smem_per_block_bytes - loaded.static_smem_bytes);
  if (dynamic + loaded.static_smem_bytes > kSmemWithoutOptIn && dynamic > 0) {
    FMS_TRY_VOID(set(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic));
  }
  if (device.info().compute_capability >= 90) {
    FMS_TRY_VOID(set(CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
  }
  return dynamic;
}

Result<CUfunction> find_function(const Library& library, const std::string& entry) {
  const Device& device = *library.device();
  const Driver& driver = device.driver();
  const std::string what = fmt::format("can't take kernel {} on {}", entry, describe(device));
  CUkernel kernel = nullptr;
  if (const CUresult code = driver.call.cuLibraryGetKernel(
          &kernel, static_cast<CUlibrary>(library.handle()), entry.c_str())) {
    return std::unexpected(driver.load_error(code, "cuLibraryGetKernel", what));
  }
  CUfunction function = nullptr;
  if (const CUresult code = driver.call.cuKernelGetFunction(&function, kernel)) {
    return std::unexpected(driver.load_error(code, "cuKernelGetFunction", what));
  }
  // The driver would load it at its first launch, which may be in a graph capture (law 9).
  if (driver.call.func_load) {
    if (const CUresult code = driver.call.func_load(function)) {
      return std::unexpected(driver.load_error(code, "cuFuncLoad", what));
    }
  }
  return function;
}

}  // namespace

Result<std::shared_ptr<const Library>> Library::load(std::shared_ptr<Device> device,
                                                     const ObjectCode& object) {
  FMS_TRY_VOID(check_target(*device, object));
  const std::string what =
      fmt::format("can't load {} ({}, {} bytes) on {}", entry_of(object), object.target.to_string(),
                  object.bytes.size(), describe(*device));
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device));
  FMS_TRY(const CUlibrary handle, device->driver().load(object, what));
  return std::shared_ptr<const Library>(new Library(std::move(device), handle));
}

Library::Library(std::shared_ptr<Device> device, void* handle)
    : device_(std::move(device)), handle_(handle) {}

Library::~Library() {
  release_on(*device_, [&](const Driver& driver) {
    driver.call.cuLibraryUnload(static_cast<CUlibrary>(handle_));
  });
}

Result<Kernel> Kernel::load(std::shared_ptr<Device> device, const ObjectCode& object) {
  FMS_TRY(std::shared_ptr<const Library> library, Library::load(device, object));
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device));
  const Driver& driver = device->driver();
  FMS_TRY(const CUfunction function, find_function(*library, object.entry));
  FMS_TRY(const Loaded loaded, read_loaded(driver, function, object));
  if (object.format != ObjectFormat::kPtx) {
    FMS_TRY_VOID(admit(*device, object, loaded));
  }
  FMS_TRY(const int dynamic_smem, raise_limits(*device, function, object.entry, loaded));
  const bool known = object.format != ObjectFormat::kPtx || loaded.parameters ||
                     !object.resources.parameters.empty();
  return Kernel(std::make_shared<const Data>(Data{.library = std::move(library),
                                                  .name = object.entry,
                                                  .target = object.target,
                                                  .resources = complete(object, loaded),
                                                  .max_dynamic_smem_bytes = dynamic_smem,
                                                  .max_threads_per_block = loaded.max_threads,
                                                  .parameters_known = known,
                                                  .function = function}));
}

Result<int> Kernel::occupancy(int threads, int dynamic_smem_bytes) const {
  const Device& on = *device();
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(on));
  int blocks = 0;
  FMS_TRY_VOID(on.driver().check(
      on.driver().call.cuOccupancyMaxActiveBlocksPerMultiprocessor(
          &blocks, static_cast<CUfunction>(function()), threads,
          static_cast<std::size_t>(std::max(0, dynamic_smem_bytes))),
      "cuOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
        return fmt::format("can't tell how many blocks of {} with {} threads fit on an SM of {}",
                           name(), threads, describe(on));
      }));
  return blocks;
}

}  // namespace fms
