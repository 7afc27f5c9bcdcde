#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache/kernel_store.h"
#include "tools/fms/command.h"

namespace fms::program {

// The options of all `fms cache` commands; each uses its own.
struct CacheCommand {
  CommonOptions common;
  std::string template_name, target;  // list, export: only these
  std::string key;                    // why
  std::string max_bytes;              // gc
  bool yes = false;                   // clear
  std::string file;                   // export, import
  bool trust_host_code = false;       // import
};

struct OpenTier {
  std::unique_ptr<KernelStore> store;
};

// The stores that the options name; the one that may be written first, if any may. Unlike a Jit,
// which goes on without, this fails if none can be opened, with the first reason. Never empty.
Result<std::vector<OpenTier>> open_tiers(const CommonOptions& common);

// Each gives the exit code.
Result<int> cache_list(const CacheCommand& command);
Result<int> cache_stats(const CacheCommand& command);
Result<int> cache_why(const CacheCommand& command);
Result<int> cache_verify(const CacheCommand& command);
Result<int> cache_gc(const CacheCommand& command);
Result<int> cache_clear(const CacheCommand& command);
Result<int> cache_export(const CacheCommand& command);
Result<int> cache_import(const CacheCommand& command);

}  // namespace fms::program
