#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "compiler/object_code.h"
#include "compiler/specialization.h"
#include "runtime/kernel.h"

namespace fms {

// What was asked for, and for which device.
struct KernelKey {
  Specialization specialization;
  int ordinal = 0;

  bool operator==(const KernelKey&) const = default;
};

struct KernelKeyHash {
  std::size_t operator()(const KernelKey& key) const noexcept {
    return key.specialization.hash() * 31 + static_cast<std::size_t>(key.ordinal);
  }
};

// The kernels that this process has loaded, by specialisation and device. An entry of a
// specialisation with exact sizes may hold two: the exact kernel, and the dynamic one that serves
// in its place.
//
// Thread-safe; a find takes a shared lock of one of several shards and allocates nothing.
class KernelCache {
 public:
  // What an entry holds at the moment of a find.
  struct Hit {
    std::optional<Kernel> exact, dynamic;
    std::shared_ptr<const ObjectCode> ready;  // compiled exact code that waits to be loaded
    bool came_back = false;                   // just now seen for the second time
  };

  // Counts a sighting if `count_sighting`. Nothing: not seen before.
  std::optional<Hit> find(const Specialization& specialization, int ordinal, bool count_sighting);

  void put_exact(const KernelKey& key, Kernel kernel);  // forgets `ready`
  // Serves until an exact kernel comes. Entries of this kind are bounded: in a process that sees a
  // new size at every call, new ones are no longer kept, and each call finds the dynamic kernel by
  // its own entry.
  void put_dynamic(const KernelKey& key, Kernel kernel);
  void put_ready(const KernelKey& key, std::shared_ptr<const ObjectCode> object);

 private:
  struct Entry {
    std::optional<Kernel> exact, dynamic;
    std::shared_ptr<const ObjectCode> ready;
    std::atomic<int> sightings{1};
  };
  // Finds by parts, so that a lookup copies no specialisation.
  struct KeyView {
    const Specialization& specialization;
    int ordinal;
  };
  struct Hash : KernelKeyHash {
    using is_transparent = void;
    using KernelKeyHash::operator();
    std::size_t operator()(const KeyView& key) const noexcept {
      return key.specialization.hash() * 31 + static_cast<std::size_t>(key.ordinal);
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const KernelKey& a, const KernelKey& b) const { return a == b; }
    bool operator()(const KeyView& a, const KernelKey& b) const {
      return a.ordinal == b.ordinal && a.specialization == b.specialization;
    }
    bool operator()(const KernelKey& a, const KeyView& b) const { return (*this)(b, a); }
  };
  struct Shard {
    std::shared_mutex mutex;
    std::unordered_map<KernelKey, Entry, Hash, Equal> entries;  // guarded by mutex
  };

  Shard& shard(std::size_t hash) { return shards_[(hash >> 32) % shards_.size()]; }
  template <typename Edit>
  void edit(const KernelKey& key, bool bounded, const Edit& apply);

  std::array<Shard, 16> shards_;
};

}  // namespace fms
