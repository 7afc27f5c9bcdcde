#include "runtime/cpu/race_detector.h"

#include <algorithm>
#include <new>

namespace fms::cpu {
namespace {

// A relaxed atomic with a fence, or a volatile access with one, is how CUDA programs order things.
// Which of them have a fence isn't known, so all count as having one.
bool is_synchronizing(const AccessSite& site) {
  return (site.flags & (kAccessAtomic | kAccessVolatile)) != 0;
}

bool is_write(const AccessSite& site) { return (site.flags & kAccessWrite) != 0; }

}  // namespace

void RaceDetector::prepare(std::uintptr_t shared, std::size_t shared_bytes, std::uint32_t threads) {
  shared_ = shared;
  shared_bytes_ = shared_bytes;
  threads_ = std::min(threads, ThreadClocks::kMostThreads);
  is_active_ = false;
}

// What orders threads before their first access can be forgotten.
void RaceDetector::barrier() {
  if (is_active_) clocks_.barrier();
}

void RaceDetector::warp_operation(std::uint32_t first_thread, std::uint32_t lanes) {
  if (!is_active_) return;
  try {
    clocks_.join(first_thread, lanes);
  } catch (const std::bad_alloc&) {
    clocks_.barrier();  // more order than there is: nothing false is reported
  }
}

std::optional<Race> RaceDetector::access(std::uint32_t thread, std::uintptr_t address,
                                         std::size_t bytes, const AccessSite* site) {
  try {
    if (!is_active_) {
      shadow_.place_shared(shared_, shared_bytes_);
      clocks_.begin(threads_);
      is_active_ = true;
    }
    std::optional<Race> race = visit(thread, address, bytes, site);
    // Not before: what orders this access after a plain one to the same address has to be something
    // else, or it could have come first.
    if (is_synchronizing(*site)) {
      clocks_.acquire(thread, address);
      clocks_.release(thread, address);
    }
    return race;
  } catch (const std::bad_alloc&) {
    clocks_.barrier();
    return std::nullopt;
  }
}

std::optional<Race> RaceDetector::visit(std::uint32_t thread, std::uintptr_t address,
                                        std::size_t bytes, const AccessSite* site) {
  const Moment now = Moment::of(site, thread, clocks_.now(thread));
  std::optional<Race> race;
  shadow_.visit(address, bytes, [&](Cell& cell, std::uintptr_t at) {
    const Moment* other = conflict(cell, thread, *site);
    if (other == nullptr) {
      remember(cell, now);
      return false;
    }
    race = {.first = {other->site, other->thread()}, .second = {site, thread}, .address = at};
    if (!is_write(*other->site)) std::swap(race->first, race->second);
    return true;
  });
  return race;
}

bool RaceDetector::is_before(const Moment& moment, std::uint32_t thread) const {
  const std::uint32_t other = moment.thread();
  return other == thread || clocks_.knows(thread, other, moment.time());
}

// Sites of old moments may be gone: they are looked at only of what isn't before.
const Moment* RaceDetector::conflict(const Cell& cell, std::uint32_t thread,
                                     const AccessSite& site) const {
  const bool synchronizing = is_synchronizing(site);
  const auto races = [&](const Moment& moment) {
    return moment.site != nullptr && !is_before(moment, thread) &&
           !(synchronizing && is_synchronizing(*moment.site));
  };
  for (const Moment* write : {&cell.write, &cell.synchronizing_write}) {
    if (races(*write)) return write;
  }
  if (!is_write(site)) return nullptr;
  for (const Moment& read : cell.reads) {
    if (races(read)) return &read;
  }
  return nullptr;
}

// A read that is before this one can be forgotten: what races with it races with this one as well.
// So can a write, but no plain one for a synchronizing one, with which others of its kind don't
// race.
void RaceDetector::remember(Cell& cell, const Moment& moment) const {
  if (is_write(*moment.site)) {
    (is_synchronizing(*moment.site) ? cell.synchronizing_write : cell.write) = moment;
    return;
  }
  const std::uint32_t thread = moment.thread();
  for (Moment& read : cell.reads) {
    if (read.site == nullptr || is_before(read, thread)) {
      read = moment;
      return;
    }
  }
  cell.reads[1] = moment;
}

}  // namespace fms::cpu
