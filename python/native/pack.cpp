#include <dlpack/dlpack.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "python/native/argument.h"

namespace fms::python {
namespace {

using Kind = HostValue::Kind;

template <typename T>
void put(PackedArgument& packed, T value) {
  std::memcpy(packed.bytes.data(), &value, sizeof(T));
  packed.data = packed.bytes.data();
  packed.size = sizeof(T);
}

// To nearest, ties to even. The float in between rounds twice only for doubles that no program
// writes: within 2^-24 of the middle of two bfloat16.
std::uint16_t to_bfloat16(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

std::string put_integer(std::int64_t value, bool is_unsigned_only, NumberType type,
                        PackedArgument& packed) {
  const auto pattern = static_cast<std::uint64_t>(value);
  bool fits = false;
  if (type.code == kDLUInt) {
    const std::uint64_t most = ~std::uint64_t{0} >> (64 - type.bits);
    fits = (is_unsigned_only || value >= 0) && pattern <= most;
  } else {
    const std::int64_t most = std::numeric_limits<std::int64_t>::max() >> (64 - type.bits);
    fits = !is_unsigned_only && value <= most && value >= -most - 1;
  }
  if (!fits) {
    const std::string text = is_unsigned_only ? std::to_string(pattern) : std::to_string(value);
    return fmt::format("is {}, which {} can't hold", text, to_string(type));
  }
  std::memcpy(packed.bytes.data(), &pattern, 8);  // little-endian: the low bytes are the number
  packed.data = packed.bytes.data();
  packed.size = type.bits / 8;
  return {};
}

std::string put_floating(double value, NumberType type, PackedArgument& packed) {
  const auto overflow = [&](double most) {
    if (std::isfinite(value) && std::abs(value) > most) {
      return fmt::format("is {}, which {} can't hold", value, to_string(type));
    }
    return std::string();
  };
  if (type.code == kDLBfloat && type.bits == 16) {
    put(packed, to_bfloat16(value));
    return overflow(0x1.FFp127 - 0x1p118);
  }
  if (type.code == kDLFloat && type.bits == 16) {
    put(packed, static_cast<_Float16>(value));
    return overflow(65519.99);
  }
  if (type.code == kDLFloat && type.bits == 32) {
    put(packed, static_cast<float>(value));
    return overflow(std::numeric_limits<float>::max());
  }
  if (type.code == kDLFloat && type.bits == 64) {
    put(packed, value);
    return {};
  }
  return fmt::format("is a number, and the parameter is {}: pass one of that type",
                     to_string(type));
}

bool is_integer_type(NumberType type) { return type.code == kDLInt || type.code == kDLUInt; }

std::string_view kind_of(Kind kind) {
  switch (kind) {
    case Kind::kInteger:
    case Kind::kUnsigned:
      return "an int";
    case Kind::kFloating:
      return "a float";
    case Kind::kBoolean:
      return "a bool";
    case Kind::kNone:
      return "None";
    case Kind::kArray:
      return "an array";
    case Kind::kNumber:
      return "a number";
    case Kind::kBytes:
      break;
  }
  return "bytes";
}

std::string pack_array(const HostValue& value, const KernelParameter& parameter, std::uint32_t size,
                       PackedArgument& packed) {
  const bool may_be_pointer = parameter.is_pointer || (!parameter.type && size == 8);
  if (!may_be_pointer) {
    return fmt::format("is an array, and the parameter is '{}', no pointer", parameter.text);
  }
  const bool any_type = value.type.code == kDLOpaqueHandle;
  if (parameter.is_pointer && parameter.type && !any_type && *parameter.type != value.type) {
    return fmt::format("is an array of {}, and the parameter '{}' points to {}",
                       to_string(value.type), parameter.text, to_string(*parameter.type));
  }
  if (value.is_read_only && parameter.is_pointer && !parameter.is_const) {
    return fmt::format(
        "is a read-only array, and the kernel may write through '{}': declare the "
        "parameter const, or pass a copy",
        parameter.text);
  }
  put(packed, value.address);
  return {};
}

// By its bytes, where the parameter's type isn't known.
std::string pack_bytes(const HostValue& value, const KernelParameter& parameter, std::uint32_t size,
                       PackedArgument& packed) {
  if (value.size != size) {
    return fmt::format("has {} bytes, and the parameter '{}' has {}", value.size, parameter.text,
                       size);
  }
  packed.data = value.address;
  packed.size = size;
  return {};
}

template <typename T>
T bytes_as(const HostValue& value) {
  T number{};
  std::memcpy(&number, value.address, std::min(sizeof(T), value.size));
  return number;
}

// A number that brings its type as the plain one that Python would have. Nothing for a type that
// Python has none for.
std::optional<HostValue> plain(const HostValue& value) {
  HostValue made{};
  const NumberType type = value.type;
  if (type.code == kDLBool) {
    made.kind = Kind::kBoolean;
    made.integer = bytes_as<std::uint8_t>(value) != 0 ? 1 : 0;
  } else if (type.code == kDLUInt) {
    made.kind = type.bits == 64 ? Kind::kUnsigned : Kind::kInteger;
    made.unsigned_integer = bytes_as<std::uint64_t>(value);
    if (made.integer >= 0) made.kind = Kind::kInteger;
  } else if (type.code == kDLInt) {
    made.kind = Kind::kInteger;
    const int shift = 64 - type.bits;
    made.integer = static_cast<std::int64_t>(bytes_as<std::uint64_t>(value) << shift) >> shift;
  } else if (type.code == kDLFloat && type.bits == 64) {
    made.kind = Kind::kFloating;
    made.floating = bytes_as<double>(value);
  } else if (type.code == kDLFloat && type.bits == 32) {
    made.kind = Kind::kFloating;
    made.floating = bytes_as<float>(value);
  } else if (type.code == kDLFloat && type.bits == 16) {
    made.kind = Kind::kFloating;
    made.floating = static_cast<double>(bytes_as<_Float16>(value));
  } else if (type.code == kDLBfloat && type.bits == 16) {
    made.kind = Kind::kFloating;
    made.floating = std::bit_cast<float>(std::uint32_t{bytes_as<std::uint16_t>(value)} << 16);
  } else {
    return std::nullopt;
  }
  return made;
}

std::string pack_number(const HostValue& value, const KernelParameter& parameter,
                        PackedArgument& packed) {
  if (!parameter.type) {
    return fmt::format(
        "is {}, and what the parameter's type '{}' is isn't known: say its type, as in "
        "fms.float32(2), or pass bytes",
        kind_of(value.kind), parameter.text);
  }
  const NumberType type = *parameter.type;
  if (value.kind == Kind::kBoolean) {
    if (type.code == kDLBool) {
      put(packed, static_cast<std::uint8_t>(value.integer));
      return {};
    }
    if (is_integer_type(type)) return put_integer(value.integer, false, type, packed);
  }
  if (value.kind == Kind::kInteger || value.kind == Kind::kUnsigned) {
    const bool large = value.kind == Kind::kUnsigned;
    if (is_integer_type(type)) return put_integer(value.integer, large, type, packed);
    const double nearest =
        large ? static_cast<double>(value.unsigned_integer) : static_cast<double>(value.integer);
    if (type.code != kDLBool) return put_floating(nearest, type, packed);
  }
  if (value.kind == Kind::kFloating && !is_integer_type(type) && type.code != kDLBool) {
    return put_floating(value.floating, type, packed);
  }
  return fmt::format("is {}, and the parameter is {}", kind_of(value.kind), to_string(type));
}

}  // namespace

std::string pack(const HostValue& value, const KernelParameter& parameter, std::uint32_t size,
                 PackedArgument& packed) {
  switch (value.kind) {
    case Kind::kArray:
      return pack_array(value, parameter, size, packed);
    case Kind::kNumber:
      if (const auto number = plain(value); number && parameter.type) {
        return pack(*number, parameter, size, packed);
      }
      if (!parameter.is_pointer) return pack_bytes(value, parameter, size, packed);
      break;
    case Kind::kBytes:
      if (!parameter.is_pointer) return pack_bytes(value, parameter, size, packed);
      break;
    case Kind::kNone:
      if (!parameter.is_pointer && (parameter.type || size != 8)) {
        return fmt::format("is None, and the parameter is '{}', no pointer", parameter.text);
      }
      put<const void*>(packed, nullptr);
      return {};
    default:
      break;
  }
  if (parameter.is_pointer) {
    return fmt::format(
        "is {}, and the parameter '{}' is a pointer: pass an array, None, or "
        "fms.pointer(address)",
        kind_of(value.kind), parameter.text);
  }
  return pack_number(value, parameter, packed);
}

}  // namespace fms::python
