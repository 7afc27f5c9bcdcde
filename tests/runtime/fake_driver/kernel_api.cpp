// Libraries, kernels, launches and tensor maps of the fake driver.

#include <cstring>

#include "tests/runtime/fake_driver/state.h"

using namespace fms::fake;  // NOLINT: this file defines cuda.h's functions and nothing else

namespace {

constexpr int kSmemWithoutOptIn = 48 * 1024;

// The function on the current device, or null: a function belongs to one context.
FakeFunction* find_function(State& fake, CUfunction handle) {
  const auto* wanted = reinterpret_cast<const FakeFunction::OnDevice*>(handle);
  for (const auto& [library_handle, library] : fake.libraries) {
    for (const auto& [name, function] : library->functions) {
      for (const FakeFunction::OnDevice& on_device : function->on_device) {
        if (&on_device == wanted && on_device.device == current_device()) return function.get();
      }
    }
  }
  return nullptr;
}

int max_threads(const FakeFunction& function) {
  return function.resources.max_threads > 0 ? function.resources.max_threads : 1024;
}

void read_attributes(const CUlaunchConfig& config, fms::FakeLaunch& launch) {
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config.attrs[i];
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      const auto& cluster = attribute.value.clusterDim;
      launch.cluster = {cluster.x, cluster.y, cluster.z};
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      launch.cooperative = attribute.value.cooperative != 0;
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      launch.programmatic = attribute.value.programmaticStreamSerializationAllowed != 0;
    }
  }
}

CUresult check_launch(const CUlaunchConfig& config, const FakeFunction& function,
                      const fms::FakeLaunch& launch, int device) {
  const std::uint64_t blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  const std::uint64_t threads = std::uint64_t{launch.block.x} * launch.block.y * launch.block.z;
  if (blocks == 0 || threads == 0) return CUDA_ERROR_INVALID_VALUE;
  if (threads > static_cast<std::uint64_t>(max_threads(function))) return CUDA_ERROR_INVALID_VALUE;
  const int allowed =
      std::max(function.max_dynamic_smem, kSmemWithoutOptIn - function.resources.static_smem_bytes);
  if (config.sharedMemBytes > static_cast<unsigned>(allowed)) return CUDA_ERROR_INVALID_VALUE;
  // One block fits on each SM.
  const auto sm_count = kDevices.at(static_cast<std::size_t>(device)).sm_count;
  if (launch.cooperative && blocks > static_cast<std::uint64_t>(sm_count)) {
    return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option*, void**, unsigned,
                           CUlibraryOption*, void**, unsigned) {
  FAKE_ENTER("cuLibraryLoadData");
  if (fake.any_capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  auto made = std::make_unique<FakeLibrary>();
  if (const CUresult code_of_image = measure_image(code, made->image)) return code_of_image;
  FakeLibrary* const handle = made.get();
  fake.libraries.emplace(handle, std::move(made));
  *library = reinterpret_cast<CUlibrary>(handle);
  return CUDA_SUCCESS;
}

CUresult cuLibraryUnload(CUlibrary library) {
  FAKE_ENTER("cuLibraryUnload");
  return fake.libraries.erase(reinterpret_cast<FakeLibrary*>(library)) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary handle, const char* name) {
  FAKE_ENTER("cuLibraryGetKernel");
  const auto found = fake.libraries.find(reinterpret_cast<FakeLibrary*>(handle));
  if (found == fake.libraries.end()) return CUDA_ERROR_INVALID_HANDLE;
  auto& function = found->second->functions[name];
  if (!function) {
    auto resources = find_in_image(found->second->image, name);
    if (!resources) {
      found->second->functions.erase(name);
      return CUDA_ERROR_NOT_FOUND;
    }
    function = std::make_unique<FakeFunction>();
    function->name = name;
    function->resources = *std::move(resources);
    function->on_device = {FakeFunction::OnDevice{function.get(), 0},
                           FakeFunction::OnDevice{function.get(), 1}};
  }
  *kernel = reinterpret_cast<CUkernel>(function.get());
  return CUDA_SUCCESS;
}

// Images are checked against the device here, as the driver does when it loads lazily.
CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  FAKE_ENTER("cuKernelGetFunction");
  const int device = current_device();
  if (device < 0) return CUDA_ERROR_INVALID_CONTEXT;
  auto* const record = reinterpret_cast<FakeFunction*>(kernel);
  const DeviceFacts& facts = kDevices.at(static_cast<std::size_t>(device));
  for (const auto& [handle, library] : fake.libraries) {
    const auto found = library->functions.find(record->name);
    if (found == library->functions.end() || found->second.get() != record) continue;
    const auto target = target_of_image(library->image);
    if (target && !target->runs_on(10 * facts.capability_major + facts.capability_minor)) {
      return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    *function =
        reinterpret_cast<CUfunction>(&record->on_device.at(static_cast<std::size_t>(device)));
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
  FAKE_ENTER("cuFuncGetAttribute");
  const FakeFunction* function = find_function(fake, handle);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  const fms::Resources& resources = function->resources;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = resources.registers;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = resources.static_smem_bytes;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *value = resources.stack_bytes;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = max_threads(*function);
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  FAKE_ENTER("cuFuncSetAttribute");
  FakeFunction* function = find_function(fake, handle);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  const DeviceFacts& facts = kDevices.at(static_cast<std::size_t>(current_device()));
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    if (value + function->resources.static_smem_bytes > facts.smem_per_block_optin) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    function->max_dynamic_smem = value;
    return CUDA_SUCCESS;
  }
  if (attribute == CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) {
    return facts.capability_major >= 9 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

// Declared here too, since cuda.h before 12.4 doesn't have it.
extern "C" CUresult cuFuncGetParamInfo(CUfunction handle, std::size_t index, std::size_t* offset,
                                       std::size_t* size) {
  FAKE_ENTER("cuFuncGetParamInfo");
  const FakeFunction* function = find_function(fake, handle);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  if (index >= function->resources.parameters.size()) return CUDA_ERROR_INVALID_VALUE;
  *offset = function->resources.parameters[index].offset;
  *size = function->resources.parameters[index].size;
  return CUDA_SUCCESS;
}

// As above.
extern "C" CUresult cuFuncLoad(CUfunction handle) {
  FAKE_ENTER("cuFuncLoad");
  return find_function(fake, handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int threads,
                                                     std::size_t) {
  FAKE_ENTER("cuOccupancyMaxActiveBlocksPerMultiprocessor");
  if (!find_function(fake, handle)) return CUDA_ERROR_INVALID_HANDLE;
  if (threads < 1 || threads > 1024) return CUDA_ERROR_INVALID_VALUE;
  *blocks = 1;
  return CUDA_SUCCESS;
}

namespace {

// The launch that is noted, and what is to run at it.
CUresult note_launch(const CUlaunchConfig* config, CUfunction handle, void** arguments,
                     fms::FakeLaunch& launch,
                     std::function<void(const fms::FakeLaunch&)>& on_launch) {
  FAKE_ENTER("cuLaunchKernelEx");
  const int device = current_device();
  if (device < 0) return CUDA_ERROR_INVALID_CONTEXT;
  const FakeFunction* function = find_function(fake, handle);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  launch = {.kernel = function->name,
            .device = device,
            .stream = config->hStream,
            .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
            .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
            .dynamic_smem_bytes = config->sharedMemBytes};
  if (const CUresult code = fake.check_stream(config->hStream, device, &launch.captured)) {
    return code;
  }
  read_attributes(*config, launch);
  if (const CUresult code = check_launch(*config, *function, launch, device)) return code;
  for (std::size_t i = 0; i < function->resources.parameters.size(); ++i) {
    const auto* bytes = static_cast<const std::byte*>(arguments[i]);
    launch.arguments.emplace_back(bytes, bytes + function->resources.parameters[i].size);
  }
  fake.launches.push_back(launch);
  on_launch = fake.on_launch;
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction handle, void** arguments,
                          void**) {
  fms::FakeLaunch launch;
  std::function<void(const fms::FakeLaunch&)> on_launch;
  if (const CUresult code = note_launch(config, handle, arguments, launch, on_launch)) return code;
  if (on_launch) on_launch(launch);  // it may call the fake itself: nothing is locked
  return CUDA_SUCCESS;
}

// Not the hardware's encoding: what a test can tell two descriptors apart by.
CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                void* address, const cuuint64_t* shape, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* steps,
                                CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  FAKE_ENTER("cuTensorMapEncodeTiled");
  std::memset(map, 0, sizeof(*map));
  map->opaque[0] = reinterpret_cast<cuuint64_t>(address);
  map->opaque[1] = rank | std::uint64_t{static_cast<unsigned>(type)} << 8 |
                   std::uint64_t{static_cast<unsigned>(swizzle)} << 16 |
                   std::uint64_t{static_cast<unsigned>(fill)} << 24;
  for (cuuint32_t i = 0; i < rank; ++i) {
    if (steps[i] != 1) return CUDA_ERROR_INVALID_VALUE;
    map->opaque[2 + i] = shape[i];
    if (i + 1 < rank) map->opaque[7 + i] = strides[i];
    map->opaque[11 + i] = box[i];
  }
  return CUDA_SUCCESS;
}
