#include "runtime/ops/attention_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/ops/attention_mods.h"

namespace fms::attention {
namespace {

// Key tiles are counted in 32 bits, and the last may stand a tile's length over the end.
constexpr int kMaxLength = 1 << 30;
// A window's edge is computed in 32 bits too, for rows that stand a tile's length over the end.
constexpr int kMaxWindow = kMaxLength - 512;

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, "can't compute attention: " + std::move(message));
}

// Where the array and its rows start, in bytes, or-ed: what all of them are multiples of, this is.
std::uint64_t starts_of(const Array& array, int batch, int element_bytes) {
  const auto bytes = [&](std::int64_t extent, std::int64_t stride) {
    return extent == 1 ? 0
                       : static_cast<std::uint64_t>(stride) * static_cast<unsigned>(element_bytes);
  };
  return reinterpret_cast<std::uintptr_t>(array.data) | bytes(batch, array.strides.batch) |
         bytes(array.heads, array.strides.head) | bytes(array.rows, array.strides.row);
}

// Whether the copy engine can step by the array's strides: forwards, and by less than 2^40 bytes.
bool has_bulk_strides(const Array& array, int batch, int element_bytes) {
  const std::int64_t end = (std::int64_t{1} << 40) / element_bytes;
  const auto steps = [&](std::int64_t extent, std::int64_t stride) {
    return extent == 1 || (stride > 0 && stride < end);
  };
  return steps(batch, array.strides.batch) && steps(array.heads, array.strides.head) &&
         steps(array.rows, array.strides.row);
}

Access access_to(const Array& array, int batch, int element_bytes) {
  if (array.rows == 0) return Access::kBulk;
  const std::uint64_t starts = starts_of(array, batch, element_bytes);
  if (starts % (4 * static_cast<unsigned>(element_bytes)) != 0) return Access::kElements;
  if (starts % 16 != 0) return Access::kVectors;
  return has_bulk_strides(array, batch, element_bytes) ? Access::kBulk : Access::kUnits;
}

Result<void> check_array(const Array& array, int element_bytes) {
  if (array.rows == 0) return {};
  if (array.data == nullptr) {
    return invalid(fmt::format("{} is null, and has {} rows", array.name, array.rows));
  }
  if (reinterpret_cast<std::uintptr_t>(array.data) % element_bytes != 0) {
    return invalid(fmt::format("{} is at an address that isn't a multiple of {}, its element size",
                               array.name, element_bytes));
  }
  return {};
}

// Rows of the output that overlap would be written by several blocks at once.
Result<void> check_output_strides(const Array& o, int batch, int columns) {
  const auto apart = [&](std::int64_t extent, std::int64_t stride) {
    return extent <= 1 || std::abs(stride) >= columns;
  };
  if (o.rows == 0) return {};
  if (apart(batch, o.strides.batch) && apart(o.heads, o.strides.head) &&
      apart(o.rows, o.strides.row)) {
    return {};
  }
  return invalid(fmt::format("o's strides ({}, {}, {}) let its rows of {} elements overlap",
                             o.strides.batch, o.strides.head, o.strides.row, columns));
}

std::unexpected<Error> refuse_given(std::string_view name, bool given, std::string_view field,
                                    bool wanted) {
  return invalid(fmt::format("{} is {}, and the problem's {} is {}", name, given ? "given" : "null",
                             field, wanted));
}

// What is given if the problem has it, and else not: `field` of the problem.
inline Result<void> check_given(std::string_view name, bool given, std::string_view field,
                                bool wanted) {
  if (given == wanted) [[likely]] {
    return {};
  }
  return refuse_given(name, given, field, wanted);
}

Result<void> check_window(const Problem& problem, const Arguments& arguments) {
  for (const auto& [name, width] : {std::pair{"window_left", arguments.window_left},
                                    std::pair{"window_right", arguments.window_right}}) {
    if (width < -1) {
      return invalid(fmt::format("{} is {}; it may be 0 or more, or -1 for no limit", name, width));
    }
    if (width != -1 && !has_window(problem.mask)) {
      return invalid(fmt::format("{} is {}, and the problem's mask has no window", name, width));
    }
  }
  return {};
}

Result<void> check_packed(const Problem& problem, const Arguments& arguments) {
  const bool wanted = problem.packed;
  FMS_TRY_VOID(check_given("cu_seqlens_q", arguments.cu_seqlens_q != nullptr, "packed", wanted));
  FMS_TRY_VOID(check_given("cu_seqlens_k", arguments.cu_seqlens_k != nullptr, "packed", wanted));
  for (const auto& [name, total] :
       {std::pair{"total_q", arguments.total_q}, std::pair{"total_k", arguments.total_k}}) {
    if (total < 0 || total > std::numeric_limits<std::int32_t>::max()) {
      return invalid(fmt::format("{} is {}; it may be 0 to 2147483647", name, total));
    }
  }
  return {};
}

Result<void> check_mods(const Problem& problem, const Arguments& arguments) {
  if (problem.mods == nullptr) {
    return check_given("mods", arguments.mods != nullptr, "mods", false);
  }
  if (arguments.mods == nullptr || arguments.mods_bytes < 1 || arguments.mods_bytes > 512) {
    return invalid(fmt::format("mods has {} bytes; pass the struct Mods of {}, of 1 to 512",
                               arguments.mods == nullptr ? 0 : arguments.mods_bytes,
                               problem.mods->file_name()));
  }
  return {};
}

Result<void> check_options(const Problem& problem, const Arguments& arguments) {
  if (!std::isfinite(arguments.scale)) {
    return invalid(fmt::format("scale is {}; it may be any finite number, or 0 for the default",
                               arguments.scale));
  }
  if (problem.softcap ? !(arguments.softcap > 0 && std::isfinite(arguments.softcap))
                      : arguments.softcap != 0) {
    return invalid(fmt::format("softcap is {}, and the problem's softcap is {}: it must be {}",
                               arguments.softcap, problem.softcap,
                               problem.softcap ? "a finite number above 0" : "0"));
  }
  FMS_TRY_VOID(check_window(problem, arguments));
  FMS_TRY_VOID(check_given("sinks", arguments.sinks != nullptr, "sinks", problem.sinks));
  FMS_TRY_VOID(check_packed(problem, arguments));
  FMS_TRY_VOID(check_mods(problem, arguments));
  const BlockTableView& table = arguments.block_table;
  return check_given("block_table", table.counts != nullptr && table.tiles != nullptr,
                     "block_table", problem.block_table);
}

}  // namespace

bool has_window(Mask mask) { return mask == Mask::kWindow || mask == Mask::kWindowTopLeft; }

float scale_log2(const Problem& problem, const Arguments& arguments) {
  const double scale = arguments.scale != 0 ? arguments.scale : 1 / std::sqrt(problem.head_dim);
  return static_cast<float>(scale * std::numbers::log2e);
}

Result<Access> check_arguments(const Problem& problem, const Arguments& arguments) {
  const int element_bytes = size_of(problem.dtype);
  const bool packed = problem.packed;
  const std::int64_t rows_q = packed ? arguments.total_q : problem.seq_q;
  const std::int64_t rows_k = packed ? arguments.total_k : problem.seq_k;
  const int batch = packed ? 1 : problem.batch;
  const Array arrays[] = {
      {"q", arguments.q, arguments.q_strides, problem.heads, rows_q},
      {"k", arguments.k, arguments.k_strides, problem.kv_heads, rows_k},
      {"v", arguments.v, arguments.v_strides, problem.kv_heads, rows_k},
      {"o", arguments.o, arguments.o_strides, problem.heads, rows_q},
  };
  Access access = Access::kBulk;
  for (const Array& array : arrays) {
    FMS_TRY_VOID(check_array(array, element_bytes));
    access = std::min(access, access_to(array, batch, element_bytes));
  }
  FMS_TRY_VOID(check_output_strides(arrays[3], batch, problem.value_columns()));
  if (rows_q > 0 || arguments.lse != nullptr) {
    FMS_TRY_VOID(check_given("lse", arguments.lse != nullptr, "return_lse", problem.return_lse));
  }
  FMS_TRY_VOID(check_options(problem, arguments));
  // The kernels for tensor cores take the largest product for that of the largest score.
  return scale_log2(problem, arguments) > 0 ? access : std::min(access, Access::kVectors);
}

DeviceOptions device_options(const Problem& problem, const Arguments& arguments) {
  const auto width = [](int given) { return given < 0 ? kMaxWindow : std::min(given, kMaxWindow); };
  const double scale = arguments.scale != 0 ? arguments.scale : 1 / std::sqrt(problem.head_dim);
  const BlockTableView& table = arguments.block_table;
  return {.window_left = width(arguments.window_left),
          .window_right = width(arguments.window_right),
          .softcap = arguments.softcap,
          .scale = static_cast<float>(scale),
          .sinks = arguments.sinks,
          .cu_seqlens_q = arguments.cu_seqlens_q,
          .cu_seqlens_k = arguments.cu_seqlens_k,
          .total_q = arguments.total_q,
          .table_counts = table.counts,
          .table_tiles = table.tiles,
          .table_batch_stride = table.batch_stride,
          .table_head_stride = table.head_stride,
          .table_width = table.width};
}

Result<void> check(const Problem& problem) {
  const auto bad = [](std::string_view field, auto value, std::string_view may_be) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't compute attention with {} {}: it may be {}", field, value, may_be));
  };
  if (problem.dtype != DType::kFloat32 && problem.dtype != DType::kFloat16 &&
      problem.dtype != DType::kBFloat16) {
    return bad("dtype", to_string(problem.dtype), "float32, float16 or bfloat16");
  }
  if (problem.batch < 1) return bad("batch", problem.batch, "1 or more");
  if (problem.heads < 1) return bad("heads", problem.heads, "1 or more");
  if (problem.kv_heads < 1 || problem.heads % problem.kv_heads != 0) {
    return bad("kv_heads", problem.kv_heads,
               fmt::format("any divisor of heads, which is {}", problem.heads));
  }
  if (problem.heads / problem.kv_heads > 65536) {
    return bad("heads", problem.heads, "at most 65536 times kv_heads");
  }
  const auto length_fits = [](int length) { return length >= 0 && length <= kMaxLength; };
  if (!length_fits(problem.seq_q)) return bad("seq_q", problem.seq_q, "0 to 1073741824");
  if (!length_fits(problem.seq_k)) return bad("seq_k", problem.seq_k, "0 to 1073741824");
  if (problem.head_dim < 1 || problem.head_dim > 256) {
    return bad("head_dim", problem.head_dim, "1 to 256");
  }
  if (problem.value_dim < 0 || problem.value_dim > 256) {
    return bad("value_dim", problem.value_dim, "1 to 256, or 0 for that of head_dim");
  }
  if (std::int64_t{problem.batch} * problem.heads > 0x7fffffff) {
    return bad("batch", problem.batch, "at most 2147483647 / heads");
  }
  if (problem.mask > Mask::kWindowTopLeft) {
    return bad("mask", static_cast<int>(problem.mask), "one of the five that Mask names");
  }
  if (has_window(problem.mask) && std::max(problem.seq_q, problem.seq_k) > kMaxWindow) {
    return bad("mask", "of a window", fmt::format("that with lengths up to {}", kMaxWindow));
  }
  if (problem.block_table && problem.mods == nullptr) {
    return bad("block_table", "true", "that with mods, whose mask it is made from");
  }
  return {};
}

}  // namespace fms::attention
