#include "runtime/ops/attention_bias.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "runtime/ops/attention_mods.h"
#include "runtime/tensor_map.h"
#include "templates/embedded.h"

namespace fms::attention {
namespace {

// The members of struct Mods in attention/mods/bias_rows.cuh, and the last ones of bias_tiles.cuh.
struct Rows {
  const void* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, query_stride = 0;
};
struct Tiles {
  TensorMap map;
  Rows rows;
};
static_assert(sizeof(Rows) == 32 && sizeof(Tiles) == 192, "as on the device");

using MadeMods = Result<std::shared_ptr<const Mods>>;

MadeMods embedded_mods(const char* name) {
  const std::string path = std::string("attention/mods/") + name;
  const auto files = embedded_files();
  const auto file = std::ranges::find(files, path, &EmbeddedFile::name);
  if (file == files.end()) return fail(ErrorCode::kNotFound, path + " isn't embedded");
  return Mods::make(name, std::string(file->text));
}

// Parsed once; a failure would be a mistake in the file, which tests rule out.
const MadeMods& mods_of_tiles() {
  static const MadeMods kMods = embedded_mods("bias_tiles.cuh");
  return kMods;
}
const MadeMods& mods_of_rows() {
  static const MadeMods kMods = embedded_mods("bias_rows.cuh");
  return kMods;
}

template <typename Struct>
std::vector<std::byte> bytes_of(const Struct& value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
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
  const std::pair<std::int64_t, int> outer[] = {{bias.strides.row, problem.seq_q},
                                                {bias.strides.head, problem.heads},
                                                {bias.strides.batch, problem.batch}};
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
bool can_be_tiles(const Device& device, const Problem& problem, const Bias& bias) {
  if (device.info().compute_capability != 90 || problem.dtype == DType::kFloat32) return false;
  if (problem.seq_q < 1 || problem.seq_k < 1 || bias.strides.row == 0) return false;
  const int bytes = size_of(problem.dtype);
  const auto fits = [&](std::int64_t stride) {
    return stride >= 0 && stride * bytes % 16 == 0 && stride * bytes < std::int64_t{1} << 40;
  };
  return reinterpret_cast<std::uintptr_t>(bias.data) % 16 == 0 && fits(bias.strides.batch) &&
         fits(bias.strides.head) && fits(bias.strides.row);
}

}  // namespace

Result<BiasMods> bias_mods(const Device& device, const Problem& problem, const Bias& bias) {
  const Rows rows{bias.data, bias.strides.batch, bias.strides.head, bias.strides.row};
  const bool tiles = can_be_tiles(device, problem, bias);
  const MadeMods& mods = tiles ? mods_of_tiles() : mods_of_rows();
  if (!mods) return std::unexpected(mods.error());
  if (!tiles) return BiasMods{*mods, bytes_of(rows)};
  static TensorMapCache& maps = *new TensorMapCache;  // never destroyed: threads may outlive main()
  FMS_TRY(const TensorMap map, maps.get(device, spec_of(problem, bias)));
  return BiasMods{*mods, bytes_of(Tiles{map, rows})};
}

}  // namespace fms::attention
