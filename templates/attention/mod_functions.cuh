#ifndef FMS_ATTENTION_MOD_FUNCTIONS_CUH_
#define FMS_ATTENTION_MOD_FUNCTIONS_CUH_

#include "attention/mods.cuh"
#include "tile/element.cuh"

namespace fms {

// What a struct Mods has. `Named` tells a function that can't be called as it must be, which would
// else count as none.
template <typename M>
concept NamesScore = requires {
  &M::score;
};
template <typename M>
concept NamesMask = requires {
  &M::mask;
};
template <typename M>
concept NamesBiasRow = requires {
  &M::bias_row;
};
template <typename M>
concept NamesSlope = requires {
  &M::slope;
};
template <typename M>
concept HasScoreFunction = requires(const M& mods) {
  float(mods.score(0.0f, 0, 0, 0, 0));
};
template <typename M>
concept HasBiasRow = requires(const M& mods) {
  mods.bias_row(0, 0, 0)[0];
};
template <typename M>
concept HasMask = requires(const M& mods) {
  bool(mods.mask(0, 0, 0, 0));
};
template <typename M>
concept HasSlope = requires(const M& mods) {
  float(mods.slope(0, 0));
  int(mods.slope_offset(0));
};
// The same numbers can be copied as tiles: attention/bias_tiles.cuh is how.
template <typename M>
concept HasBiasMap = requires(const M& mods) {
  mods.bias_map();
  mods.map_batch(0) + mods.map_head(0);
};
// Scores are changed: by modified_score().
template <typename M>
concept HasScore = HasScoreFunction<M> || HasBiasRow<M> || HasSlope<M>;

static_assert(HasScoreFunction<Mods> || !NamesScore<Mods>,
              "Mods::score must be: float score(float score, int batch, int head, int query, "
              "int key) const");
static_assert(HasMask<Mods> || !NamesMask<Mods>,
              "Mods::mask must be: bool mask(int batch, int head, int query, int key) const");
static_assert(HasBiasRow<Mods> || !NamesBiasRow<Mods>,
              "Mods::bias_row must be: const T* bias_row(int batch, int head, int query) const");
static_assert(HasSlope<Mods> || !NamesSlope<Mods>,
              "Mods::slope must be: float slope(int batch, int head) const, and there must be: int "
              "slope_offset(int batch) const");
static_assert(!NamesSlope<Mods> || !NamesScore<Mods>,
              "Mods has slope and score, of which the tensor cores do the former before the latter "
              "could be called: let score do both");
static_assert(sizeof(Mods) <= 512, "the members of Mods are an argument of the kernel");

#ifdef FMS_ATTENTION_MODS_GIVEN
static_assert(HasScore<Mods> || HasMask<Mods>,
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
  if constexpr (HasBiasRow<M>) {
    score = __fadd_rn(score, number_in(mods.bias_row(batch, head, query), key));
  }
  if constexpr (HasSlope<M>) return sloped_score(mods, score, batch, head, query, key);
  if constexpr (HasScoreFunction<M>) return mods.score(score, batch, head, query, key);
  return score;
}
template <typename M>
__device__ inline bool sees_key(const M& mods, int batch, int head, int query, int key) {
  if constexpr (HasMask<M>) return mods.mask(batch, head, query, key);
  return true;
}

}  // namespace fms

#endif  // FMS_ATTENTION_MOD_FUNCTIONS_CUH_
