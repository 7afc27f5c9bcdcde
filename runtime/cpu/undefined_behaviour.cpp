#include "runtime/cpu/undefined_behaviour.h"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/cpu/checked_value.h"
#include "runtime/cpu/failure.h"
#include "runtime/cpu/sanitizer.h"

namespace fms::cpu {
namespace {

using Word = std::uint64_t;

// What the functions are given first. Each check's data begins with the place.
struct Place {
  const char* file;
  std::uint32_t line, column;
};
struct TypedCheck {
  Place place;
  const CheckedType* type;
};
struct TwoTypesCheck {
  Place place;
  const CheckedType* first;
  const CheckedType* second;
};
struct PointerCheck {
  Place place;
  const CheckedType* type;
  unsigned char log_alignment, purpose;
};
struct AlignmentCheck {
  Place place, assumption;
  const CheckedType* type;
};
struct ArgumentCheck {
  Place place, attribute;
  std::int32_t number;
};
struct BuiltinCheck {
  Place place;
  unsigned char kind;
};

// The compiler has all files of a kernel in a folder in memory.
std::string_view shown_name(std::string_view file) {
  constexpr std::string_view kFolder = "/fms/";
  if (file.starts_with(kFolder)) file.remove_prefix(kFolder.size());
  return file;
}

void record(const Place& place, std::string_view what) {
  const Guarded run = guarded();
  const std::string file(place.file == nullptr ? "" : shown_name(place.file));
  *run.failure = {
      Failure::Kind::kFault,
      fmt::format("undefined behaviour at {} by {}: {}",
                  source_text(place.file == nullptr ? nullptr : file.c_str(), place.line),
                  running_thread_text(*run.block), what)};
}

std::string overflow_text(const CheckedType& type, std::string_view expression) {
  return fmt::format("{} integer overflow: {} of type {}", type.is_signed() ? "signed" : "unsigned",
                     expression, to_text(type));
}

template <char kOperator>
std::string binary_text(const TypedCheck& check, Word left, Word right) {
  return overflow_text(*check.type, fmt::format("{} {} {}", to_text({*check.type, left}), kOperator,
                                                to_text({*check.type, right})));
}

std::string negation_text(const TypedCheck& check, Word value) {
  return overflow_text(*check.type, fmt::format("-({})", to_text({*check.type, value})));
}

std::string division_text(const TypedCheck& check, Word left, Word right) {
  const CheckedType& type = *check.type;
  const CheckedValue divisor{type, right};
  const bool overflows = type.is_integer() && type.bits() <= 64 && !divisor.is_zero();
  if (overflows) return binary_text<'/'>(check, left, right);
  return fmt::format("division by zero: {} / {} of type {}", to_text({type, left}),
                     to_text(divisor), to_text(type));
}

std::string shift_text(const TwoTypesCheck& check, Word left, Word right) {
  const CheckedType& type = *check.first;
  const CheckedValue value{type, left}, count{*check.second, right};
  const bool too_far = count.is_negative() || (check.second->bits() <= 64 && right >= type.bits());
  if (too_far) {
    return fmt::format("shift by {} of {}, of type {} with {} bits", to_text(count), to_text(value),
                       to_text(type), type.bits());
  }
  if (value.is_negative()) {
    return fmt::format("left shift of {}, which is negative, of type {}", to_text(value),
                       to_text(type));
  }
  return fmt::format("left shift of {} by {} doesn't fit type {}", to_text(value), to_text(count),
                     to_text(type));
}

std::string index_text(const TwoTypesCheck& check, Word index) {
  return fmt::format("index {} is out of bounds for type {}", to_text({*check.second, index}),
                     to_text(*check.first));
}

std::string_view purpose_text(unsigned char purpose) {
  constexpr std::string_view kPurposes[] = {"read of",
                                            "write of",
                                            "reference to",
                                            "access to a member of",
                                            "call of a member function of",
                                            "construction of",
                                            "cast to",
                                            "cast to",
                                            "cast from",
                                            "cast to a virtual base of",
                                            "reference to",
                                            "dynamic operation on"};
  return purpose < std::size(kPurposes) ? kPurposes[purpose] : "use of";
}

std::string pointer_text(const PointerCheck& check, Word pointer) {
  const Word alignment = Word{1} << check.log_alignment;
  const std::string what =
      fmt::format("{} type {}", purpose_text(check.purpose), to_text(*check.type));
  if (pointer == 0) return what + " through a null pointer";
  if (pointer % alignment != 0) {
    return fmt::format("misaligned address: {} at 0x{:x}, which isn't a multiple of {}", what,
                       pointer, alignment);
  }
  return fmt::format("{} at 0x{:x}, where there is too little space for one", what, pointer);
}

std::string assumption_text(const AlignmentCheck& check, Word pointer, Word alignment,
                            Word offset) {
  return fmt::format("misaligned address: 0x{:x}{} of type {} is assumed to be a multiple of {}",
                     pointer, offset == 0 ? "" : fmt::format(" - {}", offset), to_text(*check.type),
                     alignment);
}

std::string conversion_text(const TwoTypesCheck& check, Word value) {
  return fmt::format("{} of type {} doesn't fit type {}", to_text({*check.first, value}),
                     to_text(*check.first), to_text(*check.second));
}

std::string value_text(const TypedCheck& check, Word value) {
  return fmt::format("a variable of type {} has the value {}, which the type doesn't",
                     to_text(*check.type), to_text({*check.type, value}));
}

std::string length_text(const TypedCheck& check, Word length) {
  return fmt::format("the length of an array is {}", to_text({*check.type, length}));
}

std::string unreachable_text(const Place&) { return "__builtin_unreachable() was reached"; }

std::string return_text(const Place&) {
  return "the end of a function that returns a value was reached";
}

std::string arithmetic_text(const Place&, Word from, Word to) {
  return from == 0 ? fmt::format("arithmetic on a null pointer gives 0x{:x}", to)
                   : fmt::format("pointer arithmetic overflows: from 0x{:x} to 0x{:x}", from, to);
}

std::string argument_text(const ArgumentCheck& check) {
  return fmt::format("argument {} is a null pointer, which it must not be", check.number);
}

std::string builtin_text(const BuiltinCheck& check) {
  if (check.kind > 1) return "an assumption is false";
  return fmt::format("__builtin_{}() of 0", check.kind == 0 ? "ctz" : "clz");
}

std::string function_text(const TypedCheck& check, Word function) {
  return fmt::format("the function at 0x{:x} is called as one of type {}, which it isn't", function,
                     to_text(*check.type));
}

const Place& place_in(const Place& place) { return place; }
const Place& place_in(const auto& check) { return check.place; }

// Leaving destroys nothing, so that nothing may be left to destroy.
template <auto kText, typename Check, typename... Words>
[[noreturn]] void report(const Check* check, Words... words) {
  record(place_in(*check), kText(*check, words...));
  leave();
}

// Instead of its data's place, these are given the place where the function returns.
[[noreturn]] void report_return(const void*, const Place* place) {
  record(*place, "a null pointer is returned, which it must not be");
  leave();
}

struct Function {
  std::string_view name;  // without "__ubsan_handle_"
  void* address;
  bool goes_on = true;  // there is one of NAME_abort as well
};

template <auto kText, typename Check, typename... Words>
void* reporting() {
  return reinterpret_cast<void*>(&report<kText, Check, Words...>);
}

std::vector<Function> functions() {
  void* const conversion = reporting<conversion_text, TwoTypesCheck, Word>();
  void* const argument = reporting<argument_text, ArgumentCheck>();
  void* const returned = reinterpret_cast<void*>(&report_return);
  return {
      {"add_overflow", reporting<binary_text<'+'>, TypedCheck, Word, Word>()},
      {"sub_overflow", reporting<binary_text<'-'>, TypedCheck, Word, Word>()},
      {"mul_overflow", reporting<binary_text<'*'>, TypedCheck, Word, Word>()},
      {"negate_overflow", reporting<negation_text, TypedCheck, Word>()},
      {"divrem_overflow", reporting<division_text, TypedCheck, Word, Word>()},
      {"shift_out_of_bounds", reporting<shift_text, TwoTypesCheck, Word, Word>()},
      {"out_of_bounds", reporting<index_text, TwoTypesCheck, Word>()},
      {"type_mismatch_v1", reporting<pointer_text, PointerCheck, Word>()},
      {"alignment_assumption", reporting<assumption_text, AlignmentCheck, Word, Word, Word>()},
      {"float_cast_overflow", conversion},
      {"implicit_conversion", conversion},
      {"load_invalid_value", reporting<value_text, TypedCheck, Word>()},
      {"vla_bound_not_positive", reporting<length_text, TypedCheck, Word>()},
      {"builtin_unreachable", reporting<unreachable_text, Place>(), false},
      {"missing_return", reporting<return_text, Place>(), false},
      {"pointer_overflow", reporting<arithmetic_text, Place, Word, Word>()},
      {"nonnull_arg", argument},
      {"nullability_arg", argument},
      {"nonnull_return_v1", returned},
      {"nullability_return_v1", returned},
      {"invalid_builtin", reporting<builtin_text, BuiltinCheck>()},
      {"function_type_mismatch", reporting<function_text, TypedCheck, Word>()},
  };
}

struct SymbolTable {
  std::vector<std::string> names;
  std::vector<CpuSymbol> symbols;  // their names are views of those
};

SymbolTable make_table() {
  SymbolTable table;
  const std::vector<Function> all = functions();
  table.names.reserve(2 * all.size());
  for (const Function& function : all) {
    for (const char* suffix : {"", "_abort"}) {
      if (!function.goes_on && *suffix != '\0') continue;
      table.names.push_back(fmt::format("__ubsan_handle_{}{}", function.name, suffix));
      table.symbols.push_back({table.names.back(), function.address});
    }
  }
  return table;
}

}  // namespace

std::span<const CpuSymbol> undefined_behaviour_symbols() {
  static const SymbolTable table = make_table();
  return table.symbols;
}

}  // namespace fms::cpu
