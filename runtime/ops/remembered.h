#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "compiler/result.h"

namespace fms::attention {

// What was made for keys, so that a repeated call neither makes nor allocates anything.
//
// Thread-safe. When full it starts anew: its values are cheap to make, and who has so many keys
// gains little from keeping them.
template <typename Key, typename Value, typename Hash>
class Remembered {
 public:
  // `make` makes the value of a key that wasn't asked for before: a Result<Value>.
  template <typename Make>
  Result<std::shared_ptr<const Value>> get(const Key& key, const Make& make) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = values_.find(key); found != values_.end()) return found->second;
    }
    FMS_TRY(Value made, make());
    auto value = std::make_shared<const Value>(std::move(made));
    const std::unique_lock lock(mutex_);
    if (values_.size() >= kCapacity) values_.clear();
    return values_.try_emplace(key, std::move(value)).first->second;
  }

 private:
  static constexpr std::size_t kCapacity = 4096;

  std::shared_mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<const Value>, Hash> values_;  // guarded by mutex_
};

}  // namespace fms::attention
