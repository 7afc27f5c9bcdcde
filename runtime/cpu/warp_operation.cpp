#include "runtime/cpu/warp_operation.h"

#include <algorithm>
#include <cstring>

namespace fms::cpu {
namespace {

void set_all(Warp& warp, std::uint32_t group, std::uint64_t value) {
  if (group == kAllLanes) {
    std::fill(warp.value, warp.value + kWarpSize, value);
    return;
  }
  for (Lanes lane(group); lane; ++lane) warp.value[*lane] = value;
}

void shuffle(Warp& warp, std::uint32_t group) {
  std::uint64_t offered[kWarpSize];
  std::memcpy(offered, warp.value, sizeof(offered));
  if (group == kAllLanes) {
    for (std::uint32_t lane = 0; lane < kWarpSize; ++lane) {
      warp.value[lane] = offered[warp.source[lane] % kWarpSize];
    }
    return;
  }
  for (Lanes lane(group); lane; ++lane) {
    const std::uint32_t source = warp.source[*lane] % kWarpSize;
    if (group >> source & 1) warp.value[*lane] = offered[source];
  }
}

std::uint32_t ballot(const Warp& warp, std::uint32_t group) {
  std::uint32_t zeros = 0;
  for (std::uint32_t lane = 0; lane < kWarpSize; lane += 2) {
    const __m128i two = _mm_load_si128(reinterpret_cast<const __m128i*>(warp.value + lane));
    const __m128i halves = _mm_cmpeq_epi32(two, _mm_setzero_si128());
    const __m128i other_halves = _mm_shuffle_epi32(halves, _MM_SHUFFLE(2, 3, 0, 1));
    const int zero = _mm_movemask_pd(_mm_castsi128_pd(_mm_and_si128(halves, other_halves)));
    zeros |= static_cast<std::uint32_t>(zero) << lane;
  }
  return ~zeros & group;
}

// Those of `group` that have the value of `lane`.
std::uint32_t matches(const Warp& warp, std::uint32_t group, std::uint32_t lane) {
  std::uint32_t result = 0;
  for (Lanes other(group); other; ++other) {
    if (warp.value[*other] == warp.value[lane]) result |= 1u << *other;
  }
  return result;
}

void match_any(Warp& warp, std::uint32_t group) {
  std::uint32_t results[kWarpSize];
  for (std::uint32_t left = group; left != 0;) {
    const std::uint32_t same = matches(warp, group, *Lanes(left));
    for (Lanes lane(same); lane; ++lane) results[*lane] = same;
    left &= ~same;
  }
  for (Lanes lane(group); lane; ++lane) warp.value[*lane] = results[*lane];
}

void match_all(Warp& warp, std::uint32_t group) {
  const bool all = matches(warp, group, *Lanes(group)) == group;
  set_all(warp, group, all ? group : 0);
}

template <typename Combine>
void reduce(Warp& warp, std::uint32_t group, Combine&& combine) {
  if (group == kAllLanes) {
    std::uint32_t results[kWarpSize];
    for (std::uint32_t i = 0; i < kWarpSize; ++i)
      results[i] = static_cast<std::uint32_t>(warp.value[i]);
    for (std::uint32_t half = kWarpSize / 2; half > 0; half /= 2) {
      for (std::uint32_t i = 0; i < half; ++i) results[i] = combine(results[i], results[i + half]);
    }
    return set_all(warp, group, results[0]);
  }
  Lanes lane(group);
  auto result = static_cast<std::uint32_t>(warp.value[*lane]);
  for (++lane; lane; ++lane) {
    result = combine(result, static_cast<std::uint32_t>(warp.value[*lane]));
  }
  set_all(warp, group, result);
}

}  // namespace

void perform(Operation operation, Warp& warp, std::uint32_t group) {
  using U = std::uint32_t;
  using S = std::int32_t;
  switch (operation) {
    case Operation::kNone:
      return;
    case Operation::kShuffle:
      return shuffle(warp, group);
    case Operation::kBallot:
      return set_all(warp, group, ballot(warp, group));
    case Operation::kActiveMask:
      return set_all(warp, group, group);
    case Operation::kMatchAny:
      return match_any(warp, group);
    case Operation::kMatchAll:
      return match_all(warp, group);
    case Operation::kAdd:
      return reduce(warp, group, [](U a, U b) { return a + b; });
    case Operation::kMinUnsigned:
      return reduce(warp, group, [](U a, U b) { return std::min(a, b); });
    case Operation::kMaxUnsigned:
      return reduce(warp, group, [](U a, U b) { return std::max(a, b); });
    case Operation::kMinSigned:
      return reduce(warp, group, [](U a, U b) { return S(a) < S(b) ? a : b; });
    case Operation::kMaxSigned:
      return reduce(warp, group, [](U a, U b) { return S(a) > S(b) ? a : b; });
    case Operation::kAnd:
      return reduce(warp, group, [](U a, U b) { return a & b; });
    case Operation::kOr:
      return reduce(warp, group, [](U a, U b) { return a | b; });
    case Operation::kXor:
      return reduce(warp, group, [](U a, U b) { return a ^ b; });
    case Operation::kBlockCount:
    case Operation::kBlockAnd:
    case Operation::kBlockOr:
      return;  // of a block: BlockRunner's
  }
}

std::string_view name_of(Wait wait, Operation operation) {
  switch (operation) {
    case Operation::kNone:
      return wait == Wait::kBlock ? "__syncthreads" : "__syncwarp";
    case Operation::kShuffle:
      return "__shfl_sync";
    case Operation::kBallot:
      return "__ballot_sync";
    case Operation::kActiveMask:
      return "__activemask";
    case Operation::kMatchAny:
      return "__match_any_sync";
    case Operation::kMatchAll:
      return "__match_all_sync";
    case Operation::kAdd:
      return "__reduce_add_sync";
    case Operation::kMinUnsigned:
    case Operation::kMinSigned:
      return "__reduce_min_sync";
    case Operation::kMaxUnsigned:
    case Operation::kMaxSigned:
      return "__reduce_max_sync";
    case Operation::kAnd:
      return "__reduce_and_sync";
    case Operation::kOr:
      return "__reduce_or_sync";
    case Operation::kXor:
      return "__reduce_xor_sync";
    case Operation::kBlockCount:
      return "__syncthreads_count";
    case Operation::kBlockAnd:
      return "__syncthreads_and";
    case Operation::kBlockOr:
      return "__syncthreads_or";
  }
  return "an operation";
}

}  // namespace fms::cpu
