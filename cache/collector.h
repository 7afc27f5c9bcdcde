#pragma once

#include <cstdint>
#include <optional>

#include "cache/kernel_store.h"
#include "cache/store_state.h"

namespace fms::cache {

// How much object code is to be left.
struct CollectGoal {
  std::optional<std::int64_t> limit;  // 90 % of it; nothing: only expired failures go
  bool make_room = false;             // the disk is full: a quarter goes, whatever the limit is
};

// KernelStore::gc(). REQUIRES: the caller is in no Session.
Result<GcReport> collect(StoreState& state, const CollectGoal& goal);

// True if object code takes more than the store may keep.
SqlResult<bool> over_limit(Database& database, std::int64_t max_bytes);

// Gives free pages back to the disk, in steps that others can write between.
SqlResult<void> release_free_pages(Database& database);

}  // namespace fms::cache
