#include "runtime/launch.h"

#include <fmt/format.h>

#include <vector>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {
namespace {

// Limits of every architecture from sm_75 on.
constexpr Dim3 kMaxGrid{0x7fff'ffff, 65535, 65535};
constexpr Dim3 kMaxBlock{1024, 1024, 64};
constexpr std::uint64_t kMaxClusterBlocks = 16;  // above 8 since Kernel::load has allowed it

// Few kernels have more; for those the list is allocated.
constexpr std::size_t kArgumentsOnStack = 64;
constexpr std::size_t kMaxAttributes = 3;

std::string to_text(const Dim3& size) { return fmt::format("{}x{}x{}", size.x, size.y, size.z); }

bool within(const Dim3& size, const Dim3& limit) {
  return size.x <= limit.x && size.y <= limit.y && size.z <= limit.z;
}

std::uint64_t volume(const Dim3& size) { return std::uint64_t{size.x} * size.y * size.z; }

bool has_cluster(const LaunchConfig& config) { return config.cluster != Dim3{}; }

std::unexpected<Error> refuse(const Kernel& kernel, std::string_view reason,
                              ErrorCode code = ErrorCode::kInvalidArgument) {
  return fail(code, fmt::format("can't launch {} on {}: {}", kernel.name(),
                                describe(*kernel.device()), reason));
}

std::unexpected<Error> refuse_argument(const Kernel& kernel, std::span<const Argument> arguments,
                                       std::size_t i, bool fits) {
  const std::string which = fmt::format("argument {} of {}", i + 1, arguments.size());
  if (fits) {
    return refuse(kernel, which + " has no data; to pass a null pointer, pass the address of one");
  }
  return refuse(kernel,
                fmt::format("{} has {} bytes, and the kernel's parameter has {}; pass a "
                            "value of exactly its type",
                            which, arguments[i].size, kernel.resources().parameters[i].size));
}

// Checks the arguments, and writes where each is. REQUIRES: room for as many pointers.
Result<void> take_arguments(const Kernel& kernel, std::span<const Argument> arguments,
                            void** pointers) {
  const std::vector<ParameterLayout>& parameters = kernel.resources().parameters;
  const bool known = kernel.parameters_known();
  if (known && arguments.size() != parameters.size()) [[unlikely]] {
    return refuse(kernel, fmt::format("it takes {} argument{}, and {} {} given", parameters.size(),
                                      parameters.size() == 1 ? "" : "s", arguments.size(),
                                      arguments.size() == 1 ? "is" : "are"));
  }
  const ParameterLayout* const layout = known ? parameters.data() : nullptr;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Argument& argument = arguments[i];
    const bool fits = layout == nullptr || argument.size == layout[i].size;
    if (!fits || argument.data == nullptr) [[unlikely]] {
      return refuse_argument(kernel, arguments, i, fits);
    }
    pointers[i] = const_cast<void*>(argument.data);
  }
  return {};
}

Result<void> check_block(const Kernel& kernel, const LaunchConfig& config) {
  const std::uint64_t threads = volume(config.block);
  if (threads == 0 || !within(config.block, kMaxBlock)) [[unlikely]] {
    return refuse(kernel, fmt::format("a block of {} threads is not possible; 1x1x1 to {} is",
                                      to_text(config.block), to_text(kMaxBlock)));
  }
  if (threads > static_cast<std::uint64_t>(kernel.max_threads_per_block())) [[unlikely]] {
    return refuse(kernel,
                  fmt::format("a block of {} is {} threads, and this kernel allows {} ({})",
                              to_text(config.block), threads, kernel.max_threads_per_block(),
                              kernel.device()->is_cpu()
                                  ? "its launch bounds, or the most that any has"
                                  : fmt::format("its launch bounds, or its {} registers a thread",
                                                kernel.resources().registers)));
  }
  if (config.dynamic_smem_bytes > static_cast<std::uint32_t>(kernel.max_dynamic_smem_bytes()))
      [[unlikely]] {
    return refuse(
        kernel,
        fmt::format("{} bytes of dynamic shared memory are more than the {} that the device "
                    "has for it beside {} static ones",
                    config.dynamic_smem_bytes, kernel.max_dynamic_smem_bytes(),
                    kernel.resources().static_smem_bytes));
  }
  return {};
}

// What came with compute capability 9.0.
std::unexpected<Error> refuse_feature(const Kernel& kernel, std::string_view what,
                                      std::string_view needs) {
  const int capability = kernel.device()->info().compute_capability;
  const std::string reason =
      kernel.device()->is_cpu()
          ? fmt::format("cpu devices have no {}", what)
          : fmt::format("{} {} compute capability 9.0, and the device has {}.{}", what, needs,
                        capability / 10, capability % 10);
  return refuse(kernel, reason, ErrorCode::kUnsupported);
}

Result<void> check_cluster(const Kernel& kernel, const LaunchConfig& config) {
  if (kernel.device()->info().compute_capability < 90) {
    return refuse_feature(kernel, "clusters", "need");
  }
  const Dim3& cluster = config.cluster;
  if (volume(cluster) == 0 || !within(cluster, {16, 16, 16}) ||
      volume(cluster) > kMaxClusterBlocks) {
    return refuse(kernel, fmt::format("a cluster of {} blocks is not possible; 1 to {} in all are",
                                      to_text(cluster), kMaxClusterBlocks));
  }
  const Dim3& grid = config.grid;
  if (grid.x % cluster.x != 0 || grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
    return refuse(kernel, fmt::format("clusters of {} don't divide a grid of {}", to_text(cluster),
                                      to_text(grid)));
  }
  return {};
}

Result<void> check_config(const Kernel& kernel, const LaunchConfig& config) {
  FMS_TRY_VOID(check_block(kernel, config));
  if (!within(config.grid, kMaxGrid)) [[unlikely]] {
    return refuse(kernel, fmt::format("a grid of {} blocks is more than {}", to_text(config.grid),
                                      to_text(kMaxGrid)));
  }
  if (has_cluster(config)) {
    FMS_TRY_VOID(check_cluster(kernel, config));
  }
  if (config.programmatic_launch && kernel.device()->info().compute_capability < 90) [[unlikely]] {
    return refuse_feature(kernel, "programmatic launch", "needs");
  }
  return {};
}

// Fills `attributes` and says how many.
unsigned set_attributes(const LaunchConfig& config, CUlaunchAttribute* attributes) {
  unsigned count = 0;
  if (has_cluster(config)) {
    CUlaunchAttribute& attribute = attributes[count++] = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim.x = config.cluster.x;
    attribute.value.clusterDim.y = config.cluster.y;
    attribute.value.clusterDim.z = config.cluster.z;
  }
  if (config.cooperative) {
    CUlaunchAttribute& attribute = attributes[count++] = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    attribute.value.cooperative = 1;
  }
  if (config.programmatic_launch) {
    CUlaunchAttribute& attribute = attributes[count++] = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = 1;
  }
  return count;
}

// Says what of the launch the driver didn't like, where that is known.
Error launch_error(CUresult code, const Kernel& kernel, const LaunchConfig& config) {
  const Device& device = *kernel.device();
  // A CPU's kernel has run when its launch returns.
  const bool has_run = device.is_cpu() && is_sticky(code);
  const std::string what =
      fmt::format("{} {} on {} with grid {}, block {}, {} bytes of dynamic shared memory",
                  has_run ? "failure of" : "can't launch", kernel.name(), describe(device),
                  to_text(config.grid), to_text(config.block), config.dynamic_smem_bytes);
  Error error = device.driver().error(code, "cuLaunchKernelEx", what);
  if (code == CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE) {
    error.code = ErrorCode::kInvalidArgument;
    const auto blocks = kernel.occupancy(static_cast<int>(volume(config.block)),
                                         static_cast<int>(config.dynamic_smem_bytes));
    if (blocks) {
      error.message += fmt::format("; at once the device holds {} blocks, {} on each of {} {}",
                                   *blocks * device.info().sm_count, *blocks,
                                   device.info().sm_count, device.is_cpu() ? "cores" : "SMs");
    }
  }
  if (code == CUDA_ERROR_INVALID_CLUSTER_SIZE) {
    error.code = ErrorCode::kInvalidArgument;
    error.message += fmt::format(
        "; clusters of {} don't fit the device with that block and shared "
        "memory",
        to_text(config.cluster));
  }
  return error;
}

}  // namespace

// A launch by the driver takes 2 to 3 us, and this may add 5 %: nothing is allocated, locked or
// formatted unless something is wrong.
Result<void> launch(StreamView stream, const LaunchConfig& config, const Kernel& kernel,
                    std::span<const Argument> arguments) {
  void* on_stack[kArgumentsOnStack];
  std::vector<void*> on_heap;
  void** pointers = on_stack;
  if (arguments.size() > kArgumentsOnStack) [[unlikely]] {
    on_heap.resize(arguments.size());
    pointers = on_heap.data();
  }
  FMS_TRY_VOID(take_arguments(kernel, arguments, pointers));
  FMS_TRY_VOID(check_config(kernel, config));
  if (volume(config.grid) == 0) return {};

  CUlaunchAttribute attributes[kMaxAttributes];
  const unsigned attribute_count = set_attributes(config, attributes);
  const CUlaunchConfig how{.gridDimX = config.grid.x,
                           .gridDimY = config.grid.y,
                           .gridDimZ = config.grid.z,
                           .blockDimX = config.block.x,
                           .blockDimY = config.block.y,
                           .blockDimZ = config.block.z,
                           .sharedMemBytes = config.dynamic_smem_bytes,
                           .hStream = static_cast<CUstream>(stream.handle),
                           .attrs = attributes,
                           .numAttrs = attribute_count};

  const Device& device = *kernel.device();
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  const CUresult code = device.driver().call.cuLaunchKernelEx(
      &how, static_cast<CUfunction>(kernel.function()), pointers, nullptr);
  if (code != CUDA_SUCCESS) [[unlikely]] {
    return std::unexpected(launch_error(code, kernel, config));
  }
  return {};
}

}  // namespace fms
