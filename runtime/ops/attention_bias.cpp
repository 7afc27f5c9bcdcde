#include "runtime/ops/attention_bias.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/ops/attention_mods.h"
#include "runtime/tensor_map.h"
#include "templates/embedded.h"

namespace fms::attention {
namespace {

// The struct Mods of attention/mods/bias.cuh.
struct Bias {
  const void* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, query_stride = 0, key_stride = 0;
};
// And of attention/bias_tiles.cuh.
struct Tiles {
  TensorMap map;
  const void* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, query_stride = 0;
};
static_assert(sizeof(Bias) == 40 && sizeof(Tiles) == 192, "as on the device");

// Parsed once; a failure would be a mistake in the file, which tests rule out.
const Result<std::shared_ptr<const Mods>>& mods_of_elements() {
  static const auto kMods = Mods::embedded("bias", "#define FMS_BIAS_ELEMENT T\n");
  return kMods;
}
Result<std::shared_ptr<const Mods>> make_mods_of_tiles() {
  constexpr std::string_view kFile = "attention/bias_tiles.cuh";
  const auto files = embedded_files();
  const auto file = std::ranges::find(files, kFile, &EmbeddedFile::name);
  if (file == files.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("{} isn't embedded", kFile));
  }
  return Mods::make("bias_tiles.cuh", std::string(file->text));
}
const Result<std::shared_ptr<const Mods>>& mods_of_tiles() {
  static const auto kMods = make_mods_of_tiles();
  return kMods;
}

// Of (keys, queries, heads, batches), 64 by 64 a copy. What shares an array has an extent of 1.
TensorMapSpec spec_of(const Problem& problem, const Bias& bias) {
  const auto bytes = static_cast<std::uint64_t>(size_of(problem.dtype));
  TensorMapSpec spec{.address = reinterpret_cast<std::uintptr_t>(bias.data),
                     .dtype = problem.dtype,
                     .rank = 4,
                     .swizzle = Swizzle::k128B};
  spec.shape[0] = static_cast<std::uint64_t>(problem.seq_k);
  spec.stride[0] = bytes;
  const std::pair<std::int64_t, int> outer[] = {{bias.query_stride, problem.seq_q},
                                                {bias.head_stride, problem.heads},
                                                {bias.batch_stride, problem.batch}};
  for (int i = 0; i < 3; ++i) {
    const auto& [stride, extent] = outer[i];
    spec.shape[i + 1] = stride == 0 ? 1 : static_cast<std::uint64_t>(extent);
    spec.stride[i + 1] =
        stride == 0 || extent == 1 ? 16 : bytes * static_cast<std::uint64_t>(stride);
  }
  spec.box = {64, 64, 1, 1};
  return spec;
}

// Queries that share a row have no dimension of their own that boxes of 64 could step by.
bool can_be_tiles(const Problem& problem, const Bias& bias) {
  if (problem.seq_q < 1 || problem.seq_k < 1 || problem.packed) return false;
  if (bias.query_stride == 0 || bias.key_stride != 1) return false;
  const int bytes = size_of(problem.dtype);
  const auto fits = [&](std::int64_t stride) {
    return stride >= 0 && stride * bytes % 16 == 0 && stride * bytes < std::int64_t{1} << 40;
  };
  return reinterpret_cast<std::uintptr_t>(bias.data) % 16 == 0 && fits(bias.batch_stride) &&
         fits(bias.head_stride) && fits(bias.query_stride);
}

}  // namespace

Result<std::optional<BiasTiles>> bias_as_tiles(const Device& device, const Problem& problem,
                                               const Arguments& arguments) {
  const auto& elements = mods_of_elements();
  if (!elements) return std::unexpected(elements.error());
  Bias bias;
  if (problem.mods != *elements || arguments.mods_bytes != sizeof bias) return std::nullopt;
  std::memcpy(&bias, arguments.mods, sizeof bias);
  if (!can_be_tiles(problem, bias)) return std::nullopt;
  const auto& mods = mods_of_tiles();
  if (!mods) return std::unexpected(mods.error());
  static TensorMapCache& maps = *new TensorMapCache;  // never destroyed: threads may outlive main()
  FMS_TRY(const TensorMap map, maps.get(device, spec_of(problem, bias)));
  const Tiles tiles{map, bias.data, bias.batch_stride, bias.head_stride, bias.query_stride};
  BiasTiles result{*mods, std::vector<std::byte>(sizeof tiles)};
  std::memcpy(result.bytes.data(), &tiles, sizeof tiles);
  return result;
}

}  // namespace fms::attention
