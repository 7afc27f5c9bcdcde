#ifndef FMS_ATTENTION_MOD_FUNCTIONS_CUH_
#define FMS_ATTENTION_MOD_FUNCTIONS_CUH_

#include "attention/mods.cuh"

namespace fms {

// What a struct Mods has. `Named` tells a function that can't be called as it must be, which would
// else count as none.
template <typename M>
constexpr bool kNamesScore = requires {
  &M::score;
};
template <typename M>
constexpr bool kNamesMask = requires {
  &M::mask;
};
template <typename M>
constexpr bool kHasScore = requires(const M& mods) {
  float(mods.score(0.0f, 0, 0, 0, 0));
};
template <typename M>
constexpr bool kHasMask = requires(const M& mods) {
  bool(mods.mask(0, 0, 0, 0));
};

static_assert(kHasScore<Mods> || !kNamesScore<Mods>,
              "Mods::score must be: float score(float score, int batch, int head, int query, "
              "int key) const");
static_assert(kHasMask<Mods> || !kNamesMask<Mods>,
              "Mods::mask must be: bool mask(int batch, int head, int query, int key) const");
static_assert(sizeof(Mods) <= 512, "the members of Mods are an argument of the kernel");

#ifdef FMS_ATTENTION_MODS_GIVEN
static_assert(kHasScore<Mods> || kHasMask<Mods>, "Mods has neither a function score nor mask");
#endif

// For a template's body, where Mods may lack either function.
template <typename M>
__device__ inline float modified_score(const M& mods, float score, int batch, int head, int query,
                                       int key) {
  if constexpr (kHasScore<M>) return mods.score(score, batch, head, query, key);
  return score;
}
template <typename M>
__device__ inline bool sees_key(const M& mods, int batch, int head, int query, int key) {
  if constexpr (kHasMask<M>) return mods.mask(batch, head, query, key);
  return true;
}

}  // namespace fms

#endif  // FMS_ATTENTION_MOD_FUNCTIONS_CUH_
