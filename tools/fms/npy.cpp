#include "tools/fms/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tools/fms/file.h"
#include "tools/fms/npy_header.h"

namespace fms::program {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;  // what NumPy aligns the data to, for memory mapping

struct TypeCode {
  std::string_view code;  // without the byte order
  DType dtype;
};

constexpr TypeCode kTypeCodes[] = {
    {"f4", DType::kFloat32},  {"f2", DType::kFloat16}, {"f8", DType::kFloat64},
    {"i1", DType::kInt8},     {"u1", DType::kUInt8},   {"i2", DType::kInt16},
    {"i4", DType::kInt32},    {"u4", DType::kUInt32},  {"i8", DType::kInt64},
    {"u8", DType::kUInt64},   {"b1", DType::kBool},    {"u2", DType::kBFloat16},
    {"V2", DType::kBFloat16}, {"V1", DType::kUInt8},
};

std::string type_code(DType dtype) {
  if (dtype == DType::kFloat8E4M3 || dtype == DType::kFloat8E5M2) return "|u1";
  const auto* found = std::ranges::find(kTypeCodes, dtype, &TypeCode::dtype);
  return fmt::format("{}{}", size_of(dtype) == 1 ? '|' : '<', found->code);
}

std::unexpected<Error> refuse(ErrorCode code, std::string_view name, std::string_view what) {
  return fail(code, fmt::format("can't read {}: {}", name, what));
}

Result<DType> parse_type_code(std::string_view descr, std::string_view name) {
  if (!descr.empty()) {
    const char order = descr.front();
    const auto* found = std::ranges::find(kTypeCodes, descr.substr(1), &TypeCode::code);
    if (found != std::end(kTypeCodes)) {
      const bool one_byte = size_of(found->dtype) == 1 || found->code.front() == 'V';
      if (order == '<' || order == '=' || (order == '|' && one_byte)) return found->dtype;
      if (order == '>') {
        return refuse(ErrorCode::kUnsupported, name,
                      "it is big endian; convert it with a.astype(a.dtype.newbyteorder('<'))");
      }
    }
  }
  return refuse(ErrorCode::kUnsupported, name,
                fmt::format("its element type is '{}'; float16, float32, float64, bool, int8 to "
                            "int64, uint8, uint32, uint64 and bfloat16 as uint16 are supported",
                            descr.substr(0, 32)));
}

// The length of the header's text and where it starts.
struct Preamble {
  std::size_t header_at = 0;
  std::size_t header_bytes = 0;
};

Result<Preamble> parse_preamble(std::span<const std::byte> bytes, std::string_view name) {
  const auto at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  if (bytes.size() < 10 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return refuse(ErrorCode::kCorrupt, name, "it isn't a .npy file (no NUMPY mark at its start)");
  }
  const std::size_t major = at(6), minor = at(7);
  if (major < 1 || major > 3 || minor != 0) {
    return refuse(ErrorCode::kUnsupported, name,
                  fmt::format("it is version {}.{} of the format; 1.0, 2.0 and 3.0 are supported",
                              major, minor));
  }
  Preamble preamble{.header_at = 10, .header_bytes = at(8) | at(9) << 8};
  if (major > 1) {
    if (bytes.size() < 12) return refuse(ErrorCode::kCorrupt, name, "it ends in its header");
    preamble = {.header_at = 12, .header_bytes = at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24};
  }
  if (preamble.header_bytes > bytes.size() - preamble.header_at) {
    return refuse(ErrorCode::kCorrupt, name, "it ends in its header");
  }
  return preamble;
}

}  // namespace

std::string shape_to_string(std::span<const std::int64_t> shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

Result<std::size_t> byte_count(DType dtype, std::span<const std::int64_t> shape) {
  // A zero anywhere makes an empty array, however large the product of the others is.
  std::size_t bytes = static_cast<std::size_t>(size_of(dtype));
  const bool empty = std::ranges::find(shape, 0) != shape.end();
  for (const std::int64_t length : shape) {
    if (length < 0) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("a length of {} is negative", length));
    }
    if (empty) continue;
    // Half of the range, so that sums of offsets can't overflow either.
    const std::size_t limit = std::numeric_limits<std::size_t>::max() / 2;
    if (static_cast<std::size_t>(length) > limit / bytes) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the shape {} is too large", shape_to_string(shape)));
    }
    bytes *= static_cast<std::size_t>(length);
  }
  return empty ? 0 : bytes;
}

Result<NpyArray> parse_npy(std::span<const std::byte> bytes, std::string_view name) {
  FMS_TRY(const Preamble preamble, parse_preamble(bytes, name));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + preamble.header_at,
                              preamble.header_bytes);
  auto header = parse_npy_header(text);
  if (!header) return refuse(header.error().code, name, header.error().message);
  NpyArray array;
  FMS_TRY(array.dtype, parse_type_code(header->descr, name));
  array.stored_as_bits = array.dtype == DType::kBFloat16;
  array.shape = std::move(header->shape);
  if (header->fortran_order && array.shape.size() > 1) {
    return refuse(ErrorCode::kUnsupported, name,
                  "it is in Fortran order; save numpy.ascontiguousarray(a)");
  }
  auto size = byte_count(array.dtype, array.shape);
  if (!size) return refuse(ErrorCode::kCorrupt, name, size.error().message);
  const auto data = bytes.subspan(preamble.header_at + preamble.header_bytes);
  if (data.size() != *size) {
    return refuse(
        ErrorCode::kCorrupt, name,
        fmt::format("its shape {} of {} needs {} bytes and it has {}", shape_to_string(array.shape),
                    to_string(array.dtype), *size, data.size()));
  }
  array.data.assign(data.begin(), data.end());
  return array;
}

Result<NpyArray> read_npy(const std::filesystem::path& file) {
  FMS_TRY(const std::vector<std::byte> bytes, read_file(file));
  return parse_npy(bytes, file.string());
}

std::vector<std::byte> format_npy(const NpyArray& array) {
  std::string shape = fmt::format("{}", fmt::join(array.shape, ", "));
  if (array.shape.size() == 1) shape += ',';
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   type_code(array.dtype), shape);
  const std::size_t unpadded = kMagic.size() + 4 + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';

  std::string front(kMagic);
  front += '\x01';
  front += '\x00';
  front += static_cast<char>(header.size() & 0xff);
  front += static_cast<char>(header.size() >> 8);
  front += header;
  std::vector<std::byte> bytes(front.size() + array.data.size());
  std::memcpy(bytes.data(), front.data(), front.size());
  if (!array.data.empty()) {
    std::memcpy(bytes.data() + front.size(), array.data.data(), array.data.size());
  }
  return bytes;
}

Result<void> write_npy(const std::filesystem::path& file, const NpyArray& array) {
  return write_file(file, format_npy(array));
}

}  // namespace fms::program
