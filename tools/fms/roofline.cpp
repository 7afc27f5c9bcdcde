#include "tools/fms/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace fms::program {
namespace {

constexpr std::string_view kPrefixes = "kMGTPE";

// What may follow the number and its prefix.
bool is_unit(std::string_view text) {
  constexpr std::array<std::string_view, 7> kUnits = {"",      "FLOP/s", "FLOPS", "FLOP",
                                                      "flops", "flop/s", "B/s"};
  return std::ranges::find(kUnits, text) != kUnits.end();
}

}  // namespace

Result<double> parse_rate(std::string_view text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  std::string_view rest(end, static_cast<std::size_t>(last - end));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const char first = rest.empty() ? '\0' : rest.front() == 'K' ? 'k' : rest.front();
  const std::size_t prefix = first != '\0' ? kPrefixes.find(first) : kPrefixes.npos;
  if (prefix != kPrefixes.npos) {
    value *= std::pow(1000.0, static_cast<double>(prefix + 1));
    rest.remove_prefix(1);
  }
  if (error != std::errc() || !is_unit(rest) || !std::isfinite(value) || value <= 0) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't understand '{}': a rate is a number above 0 with k, M, G, T or P "
                    "behind it, such as 67T or 3.35T",
                    text.substr(0, 80)));
  }
  return value;
}

std::string format_rate(double rate, std::string_view unit) {
  if (rate < 1000) return fmt::format("{:.3g} {}", rate, unit);
  // 999.9 would be shown as 1e+03.
  std::size_t prefix = 0;
  for (rate /= 1000; rate >= 999.5 && prefix + 1 < kPrefixes.size(); ++prefix) rate /= 1000;
  return fmt::format("{:.3g} {}{}", rate, kPrefixes[prefix], unit);
}

std::optional<double> Work::intensity() const {
  if (bytes <= 0) return std::nullopt;
  return flops / bytes;
}

Work work_of(const OperationCounts& counts) {
  constexpr auto kGlobal = std::size_t(MemorySpace::kGlobal);
  return {.flops = counts.flops(),
          .bytes = counts.loaded_bytes[kGlobal] + counts.stored_bytes[kGlobal]};
}

std::string_view to_string(BoundBy bound) {
  return bound == BoundBy::kCompute ? "compute" : "memory";
}

std::optional<Bound> bound_of(const Roof& roof, const Work& work) {
  if (!roof.peak_flops || !roof.bytes_a_second) return std::nullopt;
  Bound bound{.ridge = *roof.peak_flops / *roof.bytes_a_second};
  const std::optional<double> intensity = work.intensity();
  if (!intensity || *intensity >= bound.ridge) {
    bound.by = BoundBy::kCompute;
    bound.attainable_flops = *roof.peak_flops;
  } else {
    bound.attainable_flops = *intensity * *roof.bytes_a_second;
  }
  return bound;
}

std::optional<double> lowest_seconds(const Roof& roof, const Work& work) {
  if (!roof.peak_flops && !roof.bytes_a_second) return std::nullopt;
  const double compute = roof.peak_flops ? work.flops / *roof.peak_flops : 0;
  const double memory = roof.bytes_a_second ? work.bytes / *roof.bytes_a_second : 0;
  return std::max(compute, memory);
}

}  // namespace fms::program
