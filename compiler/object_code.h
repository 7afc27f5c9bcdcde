#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"
#include "compiler/target.h"

namespace fms {

enum class ObjectFormat {
  kCubin,
  kPtx,
  kElf,  // a relocatable object of a CPU target: compiler/cpu_abi.h
};

std::string_view to_string(ObjectFormat format);  // "cubin", "ptx", "elf"
Result<ObjectFormat> parse_object_format(std::string_view text);

// One parameter of a compiled kernel, as the driver lays it out.
struct ParameterLayout {
  std::uint32_t offset = 0;  // bytes, in the parameter block
  std::uint32_t size = 0;    // bytes

  bool operator==(const ParameterLayout&) const = default;
};

// What a kernel uses, read from its object code.
struct Resources {
  int registers = 0;                      // a thread
  int spill_stores = 0, spill_loads = 0;  // bytes a thread, from ptxas
  int stack_bytes = 0;                    // a thread: spills and local arrays
  int static_smem_bytes = 0;              // a block
  int max_threads = 0;                    // of a block, by __launch_bounds__; 0: not bounded by it
  bool serialized_wgmma = false;          // ptxas C7510, C7511, C7515, C7517 or C7519
  std::vector<ParameterLayout> parameters;

  bool operator==(const Resources&) const = default;
};

// A compiled kernel, whole: with this alone it can be loaded, checked and launched.
struct ObjectCode {
  ObjectFormat format = ObjectFormat::kCubin;
  Target target;
  std::string entry;
  std::vector<std::byte> bytes;
  Resources resources;
  std::string log;          // what the compiler said, warnings for instance
  std::string compiler;     // its fingerprint
  double compile_ms = 0.0;  // wall time the compile took, wherever it happened
};

// Reads registers, stack, shared memory, maximum threads and parameter layout of `entry` from a
// cubin (an ELF file; the .nv.info sections). kCorrupt if it isn't one, kNotFound if it has no such
// kernel. Spills aren't recorded in a cubin: read_spills() has them from the log.
Result<Resources> read_cubin(const std::vector<std::byte>& cubin, std::string_view entry);

// Adds what only ptxas's verbose log says: spill bytes and serialised wgmma.
void read_ptxas_log(std::string_view log, std::string_view entry, Resources& resources);

}  // namespace fms
