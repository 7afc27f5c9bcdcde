#include "tools/fms/argument.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "tools/fms/npy.h"
#include "tools/fms/small_float.h"

namespace fms::program {
namespace {

std::unexpected<Error> refuse(std::string_view text, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("can't understand '{}': {}", text, what));
}

// The whole of `text` as a number, or nothing.
template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

template <typename Number>
bool store_number(std::string_view text, KernelArgument& argument) {
  const auto value = number<Number>(text);
  if (value) std::memcpy(argument.number.data(), &*value, sizeof(Number));
  return value.has_value();
}

bool store_half(std::string_view text, std::uint16_t (*convert)(float), KernelArgument& argument) {
  const auto value = number<float>(text);
  if (!value) return false;
  const std::uint16_t bits = convert(*value);
  std::memcpy(argument.number.data(), &bits, sizeof(bits));
  return true;
}

bool store_value(std::string_view text, KernelArgument& argument) {
  switch (argument.dtype) {
    case DType::kFloat32:
      return store_number<float>(text, argument);
    case DType::kFloat64:
      return store_number<double>(text, argument);
    case DType::kFloat16:
      return store_half(text, float_to_half, argument);
    case DType::kBFloat16:
      return store_half(text, float_to_bfloat16, argument);
    case DType::kInt8:
      return store_number<std::int8_t>(text, argument);
    case DType::kUInt8:
      return store_number<std::uint8_t>(text, argument);
    case DType::kInt16:
      return store_number<std::int16_t>(text, argument);
    case DType::kInt32:
      return store_number<std::int32_t>(text, argument);
    case DType::kUInt32:
      return store_number<std::uint32_t>(text, argument);
    case DType::kInt64:
      return store_number<std::int64_t>(text, argument);
    case DType::kUInt64:
      return store_number<std::uint64_t>(text, argument);
    case DType::kBool:
      argument.number[0] = std::byte{text == "true" || text == "1"};
      return text == "true" || text == "false" || text == "0" || text == "1";
    case DType::kFloat8E4M3:
    case DType::kFloat8E5M2:
      return false;
  }
  return false;
}

Result<KernelArgument> parse_out(std::string_view text, std::string_view rest) {
  KernelArgument argument{.kind = KernelArgument::Kind::kOut};
  const std::size_t first = rest.find(':');
  const std::size_t second = first == rest.npos ? rest.npos : rest.find(':', first + 1);
  if (second == rest.npos || second + 1 == rest.size()) {
    return refuse(text, "an output is out:DTYPE:SHAPE:FILE, such as out:f32:64x1024:c.npy");
  }
  const auto dtype = parse_dtype(rest.substr(0, first));
  if (!dtype) {
    return refuse(text, fmt::format("'{}' is no element type; f32, f16, bf16, i32, ... are",
                                    rest.substr(0, first)));
  }
  argument.dtype = *dtype;
  FMS_TRY(argument.shape, parse_shape(rest.substr(first + 1, second - first - 1)));
  FMS_TRY([[maybe_unused]] const std::size_t fits, byte_count(*dtype, argument.shape));
  argument.file = rest.substr(second + 1);
  return argument;
}

}  // namespace

Result<KernelArgument> parse_kernel_argument(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos) {
    return refuse(text, "an argument is in:FILE, inout:FILE, out:DTYPE:SHAPE:FILE or DTYPE:VALUE");
  }
  const std::string_view head = text.substr(0, colon), rest = text.substr(colon + 1);
  if (head == "out") return parse_out(text, rest);
  KernelArgument argument;
  if (head == "in" || head == "inout") {
    if (rest.empty()) return refuse(text, "the file's name is missing");
    argument.kind = head == "in" ? KernelArgument::Kind::kIn : KernelArgument::Kind::kInOut;
    argument.file = rest;
    return argument;
  }
  const auto dtype = parse_dtype(head);
  if (!dtype) {
    return refuse(text, fmt::format("'{}' is neither in, inout, out nor an element type", head));
  }
  argument.dtype = *dtype;
  if (!store_value(rest, argument)) {
    return refuse(text,
                  fmt::format("'{}' is no {} value, or out of its range", rest, to_string(*dtype)));
  }
  return argument;
}

Result<Dim3> parse_dim3(std::string_view text) {
  Dim3 dim;
  std::uint32_t* const parts[] = {&dim.x, &dim.y, &dim.z};
  std::string_view rest = text;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t comma = rest.find(',');
    const auto value = number<std::uint32_t>(rest.substr(0, comma));
    if (!value) break;
    *parts[i] = *value;
    if (comma == rest.npos) return dim;
    rest = rest.substr(comma + 1);
  }
  return refuse(text, "a size is X, X,Y or X,Y,Z");
}

Result<std::vector<std::int64_t>> parse_shape(std::string_view text) {
  std::vector<std::int64_t> shape;
  std::string_view rest = text;
  while (true) {
    const std::size_t cross = rest.find('x');
    const auto value = number<std::int64_t>(rest.substr(0, cross));
    if (!value || *value < 0 || shape.size() == 32) {
      return refuse(text, "a shape is lengths with x between them, such as 64x1024");
    }
    shape.push_back(*value);
    if (cross == rest.npos) return shape;
    rest = rest.substr(cross + 1);
  }
}

Result<std::pair<std::string, std::string>> parse_assignment(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == text.npos || equals == 0) {
    return refuse(text, "a parameter is NAME=VALUE, such as kBlock=256");
  }
  return std::pair{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace fms::program
