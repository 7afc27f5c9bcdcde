#include "runtime/cpu/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <span>

#include "runtime/cpu/grid_runner.h"
#include "runtime/cpu/host.h"
#include "runtime/cpu/streams.h"
#include "runtime/cpu/symbols.h"
#include "runtime/cpu/thread_pool.h"

namespace fms::cpu {
namespace {

constexpr int kMaxThreads = 1024;
constexpr std::uint32_t kMaxParameterBytes = 32764;
constexpr std::uint32_t kParametersOnStack = 4096;
constexpr std::size_t kParameterAlignment = 64;
// A frame is what the threads of a warp keep over a barrier; more is not one.
constexpr std::uint64_t kMaxFrameBytes = std::uint64_t{1} << 30;

// A CUlibrary, and with it its one CUkernel and CUfunction.
struct LoadedLibrary {
  std::shared_ptr<const LlvmLibrary> llvm;
  std::unique_ptr<CpuImage> image;  // destroyed before the library that made it
  std::string entry;
  Resources resources;
  std::uint32_t parameter_bytes = 0;
  Cost cost;
};

LoadedLibrary& library_of(CUfunction function) {
  return *reinterpret_cast<LoadedLibrary*>(function);
}

std::string& failure_message() {
  thread_local std::string message;
  return message;
}

int max_threads(const LoadedLibrary& library) {
  return library.resources.max_threads > 0 ? std::min(library.resources.max_threads, kMaxThreads)
                                           : kMaxThreads;
}

// What launch() relies on when it lays arguments out.
Result<std::uint32_t> measure_parameters(const std::vector<ParameterLayout>& parameters,
                                         std::string_view what) {
  std::uint32_t end = 0;
  for (const ParameterLayout& parameter : parameters) {
    if (parameter.offset < end || parameter.offset > kMaxParameterBytes ||
        parameter.size > kMaxParameterBytes - parameter.offset) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: a parameter of {} bytes can't be at {}; compile it again", what,
                              parameter.size, parameter.offset));
    }
    end = parameter.offset + parameter.size;
  }
  return end;
}

// What the runner relies on.
Result<void> check_kernel(const Kernel& kernel, std::string_view what) {
  if (kernel.abi_version != kAbiVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: it is of version {} of the interface of CPU code, and this is {}; "
                            "compile it again",
                            what, kernel.abi_version, kAbiVersion));
  }
  bool is_sound =
      kernel.states != nullptr && kernel.state_count > 0 && kernel.frame_bytes <= kMaxFrameBytes;
  for (const State& state : std::span(kernel.states, is_sound ? kernel.state_count : 0)) {
    is_sound &= state.run != nullptr && state.wait <= Wait::kBlock &&
                (state.next <= kernel.state_count || state.next == kManySuccessors) &&
                (state.uniform != nullptr || state.uniform_count == 0);
  }
  if (is_sound) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("{}: its table of states is damaged; compile it "
                                               "again",
                                               what));
}

CUresult unload(CUlibrary library) {
  delete reinterpret_cast<LoadedLibrary*>(library);
  return CUDA_SUCCESS;
}

CUresult get_kernel(CUkernel* kernel, CUlibrary library, const char* name) {
  if (reinterpret_cast<LoadedLibrary*>(library)->entry != name) return CUDA_ERROR_NOT_FOUND;
  *kernel = reinterpret_cast<CUkernel>(library);
  return CUDA_SUCCESS;
}

CUresult get_function(CUfunction* function, CUkernel kernel) {
  *function = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}

CUresult get_attribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  const LoadedLibrary& library = library_of(function);
  *value = 0;
  if (attribute == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) {
    *value = static_cast<int>(library.image->kernel().static_smem_bytes);
  } else if (attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) {
    *value = max_threads(library);
  } else if (attribute == CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES) {
    *value = library.resources.stack_bytes;
  }
  return CUDA_SUCCESS;
}

CUresult set_attribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

// Object code doesn't say it; its record does, by which arguments are laid out.
CUresult get_parameter(CUfunction function, std::size_t index, std::size_t* offset,
                       std::size_t* size) {
  const std::vector<ParameterLayout>& parameters = library_of(function).resources.parameters;
  if (index >= parameters.size()) return CUDA_ERROR_INVALID_VALUE;
  *offset = parameters[index].offset;
  *size = parameters[index].size;
  return CUDA_SUCCESS;
}

CUresult get_occupancy(int* blocks, CUfunction function, int threads, std::size_t) {
  if (threads <= 0) return CUDA_ERROR_INVALID_VALUE;
  *blocks = threads <= max_threads(library_of(function)) ? 1 : 0;
  return CUDA_SUCCESS;
}

// Memory for the parameter block of one launch.
class ParameterBlock {
 public:
  explicit ParameterBlock(std::uint32_t bytes) {
    if (bytes > kParametersOnStack) {
      bytes_ = static_cast<std::byte*>(
          ::operator new(bytes, std::align_val_t(kParameterAlignment), std::nothrow));
    }
    if (bytes_) std::memset(bytes_, 0, bytes);
  }
  ~ParameterBlock() {
    if (bytes_ != on_stack_) ::operator delete(bytes_, std::align_val_t(kParameterAlignment));
  }
  ParameterBlock(const ParameterBlock&) = delete;
  ParameterBlock& operator=(const ParameterBlock&) = delete;

  std::byte* bytes() { return bytes_; }  // null: there is no memory

 private:
  alignas(kParameterAlignment) std::byte on_stack_[kParametersOnStack];
  std::byte* bytes_ = on_stack_;
};

CUresult read_attributes(const CUlaunchConfig& config, bool& at_once) {
  for (const CUlaunchAttribute& attribute : std::span(config.attrs, config.numAttrs)) {
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      at_once = attribute.value.cooperative != 0;
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      return CUDA_ERROR_NOT_SUPPORTED;
    }
  }
  return CUDA_SUCCESS;
}

// launch() has checked all that depends on the kernel; this is what keeps memory safe.
bool is_valid(const LoadedLibrary& library, const Grid& grid, CUstream stream) {
  const std::uint64_t threads =
      std::uint64_t{grid.block_dim[0]} * grid.block_dim[1] * grid.block_dim[2];
  const auto smem = std::uint64_t{grid.kernel->static_smem_bytes} + grid.dynamic_smem_bytes;
  const auto most = static_cast<std::uint64_t>(host_info().max_smem_per_block_bytes);
  return threads > 0 && threads <= static_cast<std::uint64_t>(max_threads(library)) &&
         grid.block_count() > 0 && smem <= most && is_stream(stream);
}

CUresult result_of(Failure failure) {
  if (failure.kind == Failure::Kind::kNone) return CUDA_SUCCESS;
  flush_printed();
  failure_message() = std::move(failure.message);
  switch (failure.kind) {
    case Failure::Kind::kAssert:
      return CUDA_ERROR_ASSERT;
    case Failure::Kind::kOutOfMemory:
      return CUDA_ERROR_OUT_OF_MEMORY;
    default:
      return CUDA_ERROR_LAUNCH_FAILED;
  }
}

CUresult launch(const CUlaunchConfig* config, CUfunction function, void** arguments, void**) {
  LoadedLibrary& library = library_of(function);
  const std::vector<ParameterLayout>& parameters = library.resources.parameters;
  ParameterBlock block(library.parameter_bytes);
  if (!block.bytes()) return CUDA_ERROR_OUT_OF_MEMORY;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    std::memcpy(block.bytes() + parameters[i].offset, arguments[i], parameters[i].size);
  }
  const Grid grid{.kernel = &library.image->kernel(),
                  .arguments = block.bytes(),
                  .argument_bytes = library.parameter_bytes,
                  .grid_dim = {config->gridDimX, config->gridDimY, config->gridDimZ},
                  .block_dim = {config->blockDimX, config->blockDimY, config->blockDimZ},
                  .dynamic_smem_bytes = config->sharedMemBytes};
  if (!is_valid(library, grid, config->hStream)) return CUDA_ERROR_INVALID_VALUE;
  bool at_once = false;
  if (const CUresult code = read_attributes(*config, at_once)) return code;
  if (!at_once) return result_of(run_grid(grid, library.cost));
  if (grid.block_count() > ThreadPool::get().size()) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  return result_of(run_grid_at_once(grid));
}

}  // namespace

Result<CUlibrary> load_library(std::shared_ptr<const LlvmLibrary> llvm, const ObjectCode& object,
                               std::string_view what) {
  FMS_TRY(const std::uint32_t parameter_bytes,
          measure_parameters(object.resources.parameters, what));
  auto image = llvm->load(object, symbols());
  if (!image) return std::unexpected(with_context(what, std::move(image).error()));
  FMS_TRY_VOID(check_kernel((*image)->kernel(), what));
  auto library = std::make_unique<LoadedLibrary>();
  library->llvm = std::move(llvm);
  library->image = *std::move(image);
  library->entry = object.entry;
  library->resources = object.resources;
  library->parameter_bytes = parameter_bytes;
  return reinterpret_cast<CUlibrary>(library.release());
}

void set_function_functions(DriverFunctions& call) {
  call.cuLibraryUnload = unload;
  call.cuLibraryGetKernel = get_kernel;
  call.cuKernelGetFunction = get_function;
  call.cuFuncGetAttribute = get_attribute;
  call.cuFuncSetAttribute = set_attribute;
  call.func_get_param_info = get_parameter;
  call.cuOccupancyMaxActiveBlocksPerMultiprocessor = get_occupancy;
  call.cuLaunchKernelEx = launch;
  call.cuLibraryLoadData = [](auto...) { return CUDA_ERROR_NOT_SUPPORTED; };  // CpuDriver::load()
  call.cuTensorMapEncodeTiled = [](auto...) { return CUDA_ERROR_NOT_SUPPORTED; };
}

const std::string& last_failure() { return failure_message(); }

}  // namespace fms::cpu
