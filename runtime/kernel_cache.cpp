#include "runtime/kernel_cache.h"

#include <mutex>

namespace fms {
namespace {

// Of entries that only stand for a dynamic kernel, in one shard. A service that sees 16 x 4096
// sizes has no use for exact kernels of all of them.
constexpr std::size_t kMaxEntriesOfShard = 4096;

}  // namespace

std::optional<KernelCache::Hit> KernelCache::find(const Specialization& specialization, int ordinal,
                                                  bool count_sighting) {
  const KeyView key{specialization, ordinal};
  Shard& home = shard(Hash{}(key));
  const std::shared_lock lock(home.mutex);
  const auto found = home.entries.find(key);
  if (found == home.entries.end()) return std::nullopt;
  Entry& entry = found->second;
  if (entry.exact) return Hit{.exact = entry.exact, .dynamic = entry.dynamic};
  const bool came_back =
      count_sighting && entry.sightings.fetch_add(1, std::memory_order_relaxed) == 1;
  return Hit{.dynamic = entry.dynamic, .ready = entry.ready, .came_back = came_back};
}

template <typename Edit>
void KernelCache::edit(const KernelKey& key, bool bounded, const Edit& apply) {
  Shard& home = shard(Hash{}(key));
  const std::unique_lock lock(home.mutex);
  auto found = home.entries.find(key);
  if (found == home.entries.end()) {
    if (bounded && home.entries.size() >= kMaxEntriesOfShard) return;
    found = home.entries.try_emplace(key).first;
  }
  apply(found->second);
}

void KernelCache::put_exact(const KernelKey& key, Kernel kernel) {
  edit(key, false, [&](Entry& entry) {
    entry.exact = std::move(kernel);
    entry.ready.reset();
  });
}

void KernelCache::put_dynamic(const KernelKey& key, Kernel kernel) {
  edit(key, true, [&](Entry& entry) { entry.dynamic = std::move(kernel); });
}

void KernelCache::put_ready(const KernelKey& key, std::shared_ptr<const ObjectCode> object) {
  edit(key, true, [&](Entry& entry) { entry.ready = std::move(object); });
}

}  // namespace fms
