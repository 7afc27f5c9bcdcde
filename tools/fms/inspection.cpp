#include "tools/fms/inspection.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/elf_file.h"
#include "compiler/llvm_library.h"
#include "tools/fms/disassembler.h"

namespace fms::program {
namespace {

constexpr std::int64_t kMostThreads = 1024;  // of a block, on every GPU

std::int64_t volume(const Dim3& extent) { return std::int64_t{extent.x} * extent.y * extent.z; }

Result<KernelProfile> count(const JitOptions& options, const Specialization& specialization,
                            const InspectedLaunch& launch) {
  FMS_TRY(const auto library, open_llvm(options.llvm));
  // What a kernel does is the same on every processor. This one is any, so that machines agree.
  const Target target{.kind = Target::Kind::kCpu, .arch = "x86-64-v3"};
  const CompileRequest request =
      make_request(specialization, target, library->compiler()->fingerprint());
  ProfileOptions about{.assumed_trips = launch.assumed_trips};
  if (launch.grid) about.grid = {launch.grid->x, launch.grid->y, launch.grid->z};
  if (launch.block) about.block = {launch.block->x, launch.block->y, launch.block->z};
  return library->profile(request, about);
}

// Sections are named .nv.constantBANK, with .ENTRY behind it if they are a kernel's own.
int constant_bytes(const ObjectCode& object) {
  const std::optional<ElfFile> file = ElfFile::parse(object.bytes);
  if (!file) return 0;
  std::uint64_t bytes = 0;
  for (const ElfFile::Section& section : file->sections()) {
    constexpr std::string_view kPrefix = ".nv.constant";
    if (!section.name.starts_with(kPrefix)) continue;
    const std::string_view rest = section.name.substr(kPrefix.size());
    const std::size_t dot = rest.find('.');
    if (dot == rest.npos || rest.substr(dot + 1) == object.entry) bytes += section.size;
  }
  return static_cast<int>(bytes);
}

// Named barriers of the kernel by ptxas's log, "used 1 barriers"; 0: the log doesn't say.
int barriers_used(const ObjectCode& object) {
  constexpr std::string_view kUsed = ", used ";
  std::string_view rest = object.log;
  const std::size_t entry = rest.find(fmt::format("entry function '{}'", object.entry));
  if (entry == rest.npos) return 0;
  rest = rest.substr(entry);
  const std::size_t used = rest.find(kUsed);
  const std::size_t next = rest.find("Compiling entry function", 1);
  if (used == rest.npos || (next != rest.npos && next < used)) return 0;
  int count = 0;
  for (const char c : rest.substr(used + kUsed.size())) {
    if (c < '0' || c > '9' || count > 100) break;
    count = 10 * count + (c - '0');
  }
  return count;
}

Result<Occupancy> compute_occupancy(const ObjectCode& object, const InspectedLaunch& launch) {
  const int capability = object.target.compute_capability();
  const SmLimits* limits = sm_limits(capability);
  if (limits == nullptr) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("what an SM of {} has isn't known here", object.target.arch));
  }
  const Resources& used = object.resources;
  const std::int64_t threads = launch.block ? volume(*launch.block) : used.max_threads;
  if (threads == 0) {
    return fail(ErrorCode::kInvalidArgument,
                "the kernel has no launch bounds: add --block to say how many threads a block has");
  }
  return occupancy(*limits,
                   {.threads = static_cast<int>(threads),
                    .registers = used.registers,
                    .smem_bytes = std::int64_t{used.static_smem_bytes} + launch.dynamic_smem_bytes,
                    .barriers = barriers_used(object)});
}

void look_into_cubin(const JitOptions& options, const InspectedLaunch& launch,
                     InspectedTarget& out) {
  const ObjectCode& object = out.built->object;
  out.constant_bytes = constant_bytes(object);
  out.occupancy = compute_occupancy(object, launch);
  const auto sass = disassemble(object.bytes, options.toolkit);
  if (sass) {
    out.sass = count_sass(*sass, object.entry);
  } else {
    out.sass = std::unexpected(sass.error());
  }
}

Result<CpuCode> look_into_cpu_code(const JitOptions& options, const Specialization& specialization,
                                   const Target& target) {
  FMS_TRY(const auto library, open_llvm(options.llvm));
  const CompileRequest request =
      make_request(specialization, target, library->compiler()->fingerprint(),
                   {.lineinfo = options.lineinfo, .sanitize = options.sanitize});
  FMS_TRY(const std::string assembly, library->emit(request, "asm"));
  return read_assembly(assembly, request.entry);
}

InspectedTarget look_into(Jit& jit, const Specialization& specialization, const Target& target,
                          const InspectedLaunch& launch) {
  InspectedTarget result{.target = target, .built = jit.build(specialization, target)};
  if (!result.built) return result;
  if (result.is_cpu()) {
    result.cpu_code = look_into_cpu_code(jit.options(), specialization, target);
  } else {
    look_into_cubin(jit.options(), launch, result);
  }
  return result;
}

Result<void> check_block(const Inspection& inspection) {
  if (!inspection.launch.block) return {};
  const std::int64_t threads = volume(*inspection.launch.block);
  std::int64_t most = kMostThreads;
  const auto allow = [&most](int bound) {
    if (bound > 0) most = std::min<std::int64_t>(most, bound);
  };
  if (inspection.profile) allow(inspection.profile->max_threads);
  for (const InspectedTarget& target : inspection.targets) {
    if (target.built) allow(target.built->object.resources.max_threads);
  }
  if (threads <= most) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't inspect a block of {} threads: {} allows {}", threads,
                          inspection.specialization, most));
}

}  // namespace

std::optional<std::int64_t> Inspection::threads() const {
  if (launch.block) return volume(*launch.block);
  if (profile && profile->max_threads > 0) return profile->max_threads;
  for (const InspectedTarget& one : targets) {
    if (one.built && one.built->object.resources.max_threads > 0) {
      return one.built->object.resources.max_threads;
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> Inspection::blocks() const {
  if (!launch.grid) return std::nullopt;
  return volume(*launch.grid);
}

std::optional<Work> Inspection::work() const {
  if (!profile) return std::nullopt;
  const auto counts = launch_counts();
  if (!counts) return std::nullopt;
  return work_of(*counts);
}

std::optional<OperationCounts> Inspection::block_counts() const {
  const auto count = threads();
  if (!count) return std::nullopt;
  return of_block(profile->thread, *count);
}

std::optional<OperationCounts> Inspection::launch_counts() const {
  const auto count = blocks();
  const auto block = block_counts();
  if (!count || !block) return std::nullopt;
  return times(*block, static_cast<double>(*count));
}

OperationCounts times(const OperationCounts& counts, double factor) {
  OperationCounts result = counts;
  for (double* count :
       {&result.flops16, &result.flops32, &result.flops64, &result.special, &result.integer,
        &result.atomics, &result.barriers, &result.warp_operations, &result.branches}) {
    *count *= factor;
  }
  for (double& bytes : result.loaded_bytes) bytes *= factor;
  for (double& bytes : result.stored_bytes) bytes *= factor;
  return result;
}

OperationCounts of_block(const OperationCounts& thread, std::int64_t threads) {
  OperationCounts result = times(thread, static_cast<double>(threads));
  result.barriers = thread.barriers;
  result.warp_operations = thread.warp_operations * static_cast<double>((threads + 31) / 32);
  return result;
}

const Error* Inspection::first_error() const {
  if (!profile) return &profile.error();
  for (const InspectedTarget& one : targets) {
    if (!one.built) return &one.built.error();
  }
  for (const Result<Roof>& roof : roofs) {
    if (!roof) return &roof.error();
  }
  return nullptr;
}

bool Inspection::is_empty() const {
  const auto missing = [](const InspectedTarget& one) { return !one.built; };
  return !profile && std::ranges::all_of(targets, missing);
}

Result<Inspection> inspect(Jit& jit, const Specialization& specialization,
                           const std::vector<Target>& targets, const InspectedLaunch& launch) {
  Inspection result{.specialization = specialization.to_string(),
                    .launch = launch,
                    .profile = count(jit.options(), specialization, launch)};
  for (const Target& target : targets) {
    result.targets.push_back(look_into(jit, specialization, target, launch));
  }
  FMS_TRY_VOID(check_block(result));
  return result;
}

}  // namespace fms::program
