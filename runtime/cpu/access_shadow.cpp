#include "runtime/cpu/access_shadow.h"

namespace fms::cpu {

// What is known of it stays: moments of blocks before this one are known to all threads.
void AccessShadow::place_shared(std::uintptr_t start, std::size_t bytes) {
  shared_bytes_ = 0;
  const std::size_t words = (bytes + kWordBytes - 1) / kWordBytes;
  if (shared_.size() < words) shared_ = std::vector<Word>(words);
  shared_start_ = start;
  shared_bytes_ = bytes;
}

std::array<Cell, AccessShadow::kWordBytes>& AccessShadow::bytes_of(Word& word) {
  if (!word.bytes) {
    word.bytes = std::make_unique<std::array<Cell, kWordBytes>>();
    word.bytes->fill(word.whole);
  }
  return *word.bytes;
}

void AccessShadow::find_page(std::uintptr_t number) {
  last_page_ = nullptr;
  if (pages_.size() >= kMostPages && !pages_.contains(number)) pages_.clear();
  std::unique_ptr<Page>& page = pages_[number];
  if (!page) page = std::make_unique<Page>();
  last_number_ = number;
  last_page_ = page.get();
}

}  // namespace fms::cpu
