#include "tools/fms/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "runtime/jit.h"
#include "tools/fms/table.h"

namespace fms::program {
namespace {

using nlohmann::json;

std::string short_key(const Digest& key) { return key.hex().substr(0, 12); }

json to_json(const StoreEntry& entry) {
  return {{"key", entry.key.hex()},
          {"template", entry.template_name},
          {"specialization", entry.specialization},
          {"target", entry.target},
          {"format", entry.format},
          {"compiler", entry.compiler},
          {"failed", entry.failed},
          {"bytes", entry.bytes},
          {"compile_ms", entry.compile_ms},
          {"created", entry.created},
          {"last_used", entry.last_used}};
}

void print_json(const json& object) {
  fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
}

bool wanted(const CacheCommand& command, const StoreEntry& entry) {
  const bool template_fits =
      command.template_name.empty() || entry.template_name == command.template_name;
  // "sm_90a" and "cuda:sm_90a" are one target.
  const auto target = Target::parse(command.target);
  const bool target_fits =
      command.target.empty() || entry.target == (target ? target->to_string() : command.target);
  return template_fits && target_fits;
}

Result<int> ask_before_clearing(const CacheCommand& command, const std::vector<OpenTier>& tiers) {
  if (command.yes || ::isatty(STDIN_FILENO) != 1) return kOk;
  fmt::print(stderr, "Remove every kernel from {}? [y/N] ", tiers.front().store->path().string());
  char answer[8] = {};
  const bool read = std::fgets(answer, sizeof(answer), stdin) != nullptr;
  if (read && (answer[0] == 'y' || answer[0] == 'Y')) return kOk;
  return fail(ErrorCode::kInvalidArgument, "can't clear the store: not confirmed; add --yes");
}

// The tier that is written, which is the first if there is one.
Result<KernelStore*> writable(const std::vector<OpenTier>& tiers) {
  if (tiers.front().store->read_only()) {
    return fail(ErrorCode::kIo, fmt::format("can't change {}: it is read-only; give --cache-dir",
                                            tiers.front().store->path().string()));
  }
  return tiers.front().store.get();
}

json to_json(const StoreStats& stats) {
  return {{"entries", stats.entries},
          {"bytes", stats.bytes},
          {"failed_entries", stats.failed_entries},
          {"hits", stats.hits},
          {"misses", stats.misses},
          {"compiles", stats.compiles},
          {"failures", stats.failures},
          {"corrupt_removed", stats.corrupt_removed},
          {"evicted", stats.evicted},
          {"compile_ms_spent", stats.compile_ms_spent},
          {"compile_ms_saved", stats.compile_ms_saved}};
}

}  // namespace

Result<std::vector<OpenTier>> open_tiers(const CommonOptions& common) {
  FMS_TRY(const JitOptions options, jit_options(common));
  if (options.cache_dirs.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "there is no store: neither --cache-dir, FMS_CACHE_DIR, XDG_CACHE_HOME nor HOME is "
                "given");
  }
  std::vector<OpenTier> tiers;
  std::optional<Error> first_error;
  bool have_writable = false;
  for (const auto& folder : options.cache_dirs) {
    auto store = have_writable ? KernelStore::open_read_only(folder)
                               : KernelStore::open(folder, {.max_bytes = options.cache_max_bytes});
    if (store && !(*store)->read_only()) {
      have_writable = true;
      tiers.insert(tiers.begin(), {std::move(*store)});
      continue;
    }
    if (!store) {
      if (!first_error) first_error = store.error();
      store = KernelStore::open_read_only(folder);
    }
    if (store) tiers.push_back({std::move(*store)});
  }
  if (tiers.empty()) return std::unexpected(*std::move(first_error));
  return tiers;
}

Result<int> cache_list(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  json list = json::array();
  Table table({"key", "kernel", "target", "bytes", "compile ms", "tier"});
  for (const OpenTier& tier : tiers) {
    FMS_TRY(const auto entries, tier.store->list());
    const std::string folder = tier.store->path().string();
    for (const StoreEntry& entry : entries) {
      if (!wanted(command, entry)) continue;
      list.push_back(to_json(entry));
      list.back()["tier"] = folder;
      table.add({short_key(entry.key), entry.specialization + (entry.failed ? "  (failed)" : ""),
                 entry.target, format_bytes(static_cast<double>(entry.bytes)),
                 fmt::format("{:.0f}", entry.compile_ms), tiers.size() > 1 ? folder : ""});
    }
  }
  if (command.common.json) {
    print_json(list);
  } else if (table.rows() > 0) {
    fmt::print("{}", table.text());
  } else {
    fmt::print("no kernels\n");
  }
  return kOk;
}

Result<int> cache_stats(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  json tier_list = json::array();
  for (const OpenTier& tier : tiers) {
    FMS_TRY(const StoreStats each, tier.store->stats());
    tier_list.push_back(to_json(each));
    tier_list.back().update({{"path", tier.store->path().string()},
                             {"read_only", tier.store->read_only()},
                             {"journal_mode", tier.store->journal_mode()}});
  }
  if (command.common.json) {
    // The counts of the tier that is written, and all tiers beside them.
    json object = tier_list.front();
    object["tiers"] = std::move(tier_list);
    print_json(object);
    return kOk;
  }
  for (const json& tier : tier_list) {
    fmt::print("{}{}\n", tier["path"].get<std::string>(),
               tier["read_only"].get<bool>() ? " (read-only)" : "");
    fmt::print("  {:<18} {}\n", "size", format_bytes(tier["bytes"].get<double>()));
    for (const char* name : {"entries", "failed_entries", "hits", "misses", "compiles", "failures",
                             "corrupt_removed", "evicted"}) {
      fmt::print("  {:<18} {}\n", name, tier[name].get<std::int64_t>());
    }
    for (const char* name : {"compile_ms_spent", "compile_ms_saved"}) {
      fmt::print("  {:<18} {:.0f}\n", name, tier[name].get<double>());
    }
  }
  return kOk;
}

Result<int> cache_verify(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  VerifyReport total;
  for (const OpenTier& tier : tiers) {
    FMS_TRY(const VerifyReport report, tier.store->verify());
    total.checked += report.checked;
    total.corrupt += report.corrupt;
    total.messages.insert(total.messages.end(), report.messages.begin(), report.messages.end());
  }
  for (const std::string& message : total.messages) fmt::print(stderr, "fms: {}\n", message);
  if (command.common.json) {
    print_json(
        {{"checked", total.checked}, {"corrupt", total.corrupt}, {"messages", total.messages}});
  } else {
    fmt::print("{} records read, {} corrupt{}\n", total.checked, total.corrupt,
               total.corrupt > 0 ? " (removed where the store may be written)" : "");
  }
  return total.corrupt == 0 ? kOk : kFalse;
}

Result<int> cache_gc(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  FMS_TRY(KernelStore * store, writable(tiers));
  std::optional<std::int64_t> limit;
  if (!command.max_bytes.empty()) {
    FMS_TRY(limit, parse_bytes(command.max_bytes));
  }
  FMS_TRY(const GcReport report, store->gc(limit));
  if (command.common.json) {
    print_json(
        {{"ran", report.ran}, {"evicted", report.evicted}, {"bytes_freed", report.bytes_freed}});
  } else if (!report.ran) {
    fmt::print("another process is collecting\n");
  } else {
    fmt::print("{} evicted, {} freed\n", report.evicted,
               format_bytes(static_cast<double>(report.bytes_freed)));
  }
  return kOk;
}

Result<int> cache_clear(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  FMS_TRY(KernelStore * store, writable(tiers));
  FMS_TRY([[maybe_unused]] const int confirmed, ask_before_clearing(command, tiers));
  FMS_TRY(const std::int64_t removed, store->clear());
  if (command.common.json) {
    print_json({{"removed", removed}});
  } else {
    fmt::print("{} removed\n", removed);
  }
  return kOk;
}

Result<int> cache_export(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  const auto keep = [&](const StoreEntry& entry) { return wanted(command, entry); };
  FMS_TRY(const std::int64_t exported, tiers.front().store->export_bundle(command.file, keep));
  if (command.common.json) {
    print_json({{"exported", exported}, {"file", command.file}});
  } else {
    fmt::print("{} kernels exported to {}\n", exported, command.file);
  }
  return kOk;
}

Result<int> cache_import(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  FMS_TRY(KernelStore * store, writable(tiers));
  FMS_TRY(const ImportReport report,
          store->import_bundle(command.file, {.trust_host_code = command.trust_host_code}));
  if (command.common.json) {
    print_json({{"added", report.added},
                {"present", report.present},
                {"host_code_skipped", report.host_code_skipped}});
  } else {
    fmt::print("{} added, {} already there\n", report.added, report.present);
  }
  if (report.host_code_skipped > 0) {
    fmt::print(stderr,
               "fms: {} kernels for a CPU were skipped: they would run as you. If you trust who "
               "made {}, add --trust-host-code\n",
               report.host_code_skipped, command.file);
  }
  return kOk;
}

}  // namespace fms::program
