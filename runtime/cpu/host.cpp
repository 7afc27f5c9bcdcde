#include "runtime/cpu/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

namespace fms::cpu {
namespace {

// As sm_90 has it, so that the same plans fit.
constexpr int kSmemPerBlock = 227 * 1024;
constexpr int kSmemPerCore = 228 * 1024;
constexpr int kThreadsPerCore = 1024;

unsigned cores_of_affinity() {
  // Big enough for 8192 processors: a set that is too small is an error.
  constexpr int kProcessors = 8192;
  cpu_set_t* const set = CPU_ALLOC(kProcessors);
  if (!set) return std::thread::hardware_concurrency();
  const std::size_t size = CPU_ALLOC_SIZE(kProcessors);
  CPU_ZERO_S(size, set);
  const bool known = sched_getaffinity(0, size, set) == 0;
  const int count = known ? CPU_COUNT_S(size, set) : 0;
  CPU_FREE(set);
  return known ? static_cast<unsigned>(count) : std::thread::hardware_concurrency();
}

// The quota of the cgroup, as a number of processors; infinite if there is none.
double quota() {
  double limit = std::numeric_limits<double>::infinity();
  double period = 0;
  std::string first;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file >> first >> period) {
    if (first != "max" && period > 0) limit = std::strtod(first.c_str(), nullptr) / period;
    return limit;
  }
  double allowed = 0;
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota_file >> allowed && period_file >> period && allowed > 0 && period > 0) {
    limit = allowed / period;
  }
  return limit;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t colon = line.find(':');
    const std::size_t start = line.find_first_not_of(" \t", std::min(colon, line.size() - 1) + 1);
    if (colon != std::string::npos && start != std::string::npos) return line.substr(start);
  }
  return "x86-64";
}

std::int64_t memory_bytes() {
  std::int64_t bytes = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::int64_t limit = 0;
    if (std::ifstream file(path); file >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

}  // namespace

unsigned usable_cores() {
  static const unsigned cores = [] {
    const double limit = std::ceil(std::min(quota(), 65536.0));
    return std::max(1u, std::min(cores_of_affinity(), static_cast<unsigned>(limit)));
  }();
  return cores;
}

const DeviceInfo& host_info() {
  static const DeviceInfo info{
      .ordinal = -1,
      .name = processor_name(),
      .compute_capability = 0,
      .sm_count = static_cast<int>(usable_cores()),
      .max_threads_per_sm = kThreadsPerCore,
      .registers_per_sm = 65536,
      .smem_per_sm_bytes = kSmemPerCore,
      .max_smem_per_block_bytes = kSmemPerBlock,
      .l2_bytes = static_cast<int>(std::max(0L, sysconf(_SC_LEVEL2_CACHE_SIZE))),
      .memory_bytes = memory_bytes()};
  return info;
}

}  // namespace fms::cpu
