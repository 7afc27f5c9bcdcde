#pragma once

#include <functional>
#include <future>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "compiler/result.h"

namespace fms {

// Runs one piece of work a key at a time: of the threads that ask for the same key at once, the
// first works and the others get its result, good or bad. Nothing is remembered afterwards.
//
// Thread-safe. No lock is held while the work runs.
template <typename Key, typename T, typename Hash = std::hash<Key>>
class SingleFlight {
 public:
  // `joined`, if given, is set to whether another thread did the work.
  Result<T> run(const Key& key, const std::function<Result<T>()>& work, bool* joined = nullptr) {
    std::promise<Result<T>> promise;
    {
      std::unique_lock lock(mutex_);
      if (const auto flight = flights_.find(key); flight != flights_.end()) {
        std::shared_future<Result<T>> result = flight->second;
        lock.unlock();
        if (joined != nullptr) *joined = true;
        return result.get();
      }
      flights_.emplace(key, promise.get_future().share());
    }
    if (joined != nullptr) *joined = false;
    Result<T> result = work();
    promise.set_value(result);
    const std::lock_guard lock(mutex_);
    flights_.erase(key);
    return result;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Key, std::shared_future<Result<T>>, Hash> flights_;  // guarded by mutex_
};

}  // namespace fms
