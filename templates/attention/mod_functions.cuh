#ifndef FMS_ATTENTION_MOD_FUNCTIONS_CUH_
#define FMS_ATTENTION_MOD_FUNCTIONS_CUH_

#include "attention/mods.cuh"
#include "tile/element.cuh"

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
constexpr bool kNamesBiasRow = requires {
  &M::bias_row;
};
template <typename M>
constexpr bool kNamesSlope = requires {
  &M::slope;
};
template <typename M>
constexpr bool kHasScoreFunction = requires(const M& mods) {
  float(mods.score(0.0f, 0, 0, 0, 0));
};
template <typename M>
constexpr bool kHasBiasRow = requires(const M& mods) {
  mods.bias_row(0, 0, 0)[0];
};
template <typename M>
constexpr bool kHasMask = requires(const M& mods) {
  bool(mods.mask(0, 0, 0, 0));
};
template <typename M>
constexpr bool kHasSlope = requires(const M& mods) {
  float(mods.slope(0, 0));
  int(mods.slope_offset(0));
};
// The same numbers can be copied as tiles: attention/bias_tiles.cuh is how.
template <typename M>
constexpr bool kHasBiasMap = requires(const M& mods) {
  mods.bias_map();
  mods.map_batch(0) + mods.map_head(0);
};
// Scores are changed: by modified_score().
template <typename M>
constexpr bool kHasScore = kHasScoreFunction<M> || kHasBiasRow<M> || kHasSlope<M>;

static_assert(kHasScoreFunction<Mods> || !kNamesScore<Mods>,
              "Mods::score must be: float score(float score, int batch, int head, int query, "
              "int key) const");
static_assert(kHasMask<Mods> || !kNamesMask<Mods>,
              "Mods::mask must be: bool mask(int batch, int head, int query, int key) const");
static_assert(kHasBiasRow<Mods> || !kNamesBiasRow<Mods>,
              "Mods::bias_row must be: const T* bias_row(int batch, int head, int query) const");
static_assert(kHasSlope<Mods> || !kNamesSlope<Mods>,
              "Mods::slope must be: float slope(int batch, int head) const, and there must be: int "
              "slope_offset(int batch) const");
static_assert(!kNamesSlope<Mods> || !kNamesScore<Mods>,
              "Mods has slope and score, of which the tensor cores do the former before the latter "
              "could be called: let score do both");
static_assert(sizeof(Mods) <= 512, "the members of Mods are an argument of the kernel");

#ifdef FMS_ATTENTION_MODS_GIVEN
static_assert(kHasScore<Mods> || kHasMask<Mods>,
              "Mods has none of the functions score, slope, bias_row and mask");
#endif

template <typename T>
__device__ inline float number_in(const T* array, int index) {
  return Element<T>::load(array[index]);
}

// What Mods::slope says, of an index of any type.
template <typename M, typename Index>
__device__ inline float sloped_score(const M& mods, float score, int batch, int head, Index query,
                                     Index key) {
  const float distance = float(query) + float(mods.slope_offset(batch)) - float(key);
  return fmaf(-mods.slope(batch, head), fabsf(distance), score);
}

// For a template's body, where Mods may lack any of the functions.
template <typename M>
__device__ inline float modified_score(const M& mods, float score, int batch, int head, int query,
                                       int key) {
  if constexpr (kHasBiasRow<M>) {
    score = __fadd_rn(score, number_in(mods.bias_row(batch, head, query), key));
  }
  if constexpr (kHasSlope<M>) return sloped_score(mods, score, batch, head, query, key);
  if constexpr (kHasScoreFunction<M>) return mods.score(score, batch, head, query, key);
  return score;
}
template <typename M>
__device__ inline bool sees_key(const M& mods, int batch, int head, int query, int key) {
  if constexpr (kHasMask<M>) return mods.mask(batch, head, query, key);
  return true;
}

}  // namespace fms

#endif  // FMS_ATTENTION_MOD_FUNCTIONS_CUH_
