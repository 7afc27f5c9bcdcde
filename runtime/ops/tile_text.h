#pragma once

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace fms::attention {

// A member of a tile, and the template's parameter that it is the value of.
template <typename Tile>
struct TileField {
  std::string_view name;
  std::variant<int Tile::*, bool Tile::*> member;
};

// "kBlockN=128 kStages=2 kPingPong=true": values as Parameter::to_string() writes them.
template <typename Tile>
std::string tile_to_text(const Tile& tile, std::span<const TileField<Tile>> fields) {
  std::string text;
  for (const TileField<Tile>& field : fields) {
    std::visit(
        [&](auto member) {
          text += fmt::format("{}{}={}", text.empty() ? "" : " ", field.name, tile.*member);
        },
        field.member);
  }
  return text;
}

inline bool parse_tile_value(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

inline bool parse_tile_value(std::string_view text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// The reverse: all fields, in their order, and nothing else.
template <typename Tile>
std::optional<Tile> tile_from_text(std::string_view text, std::span<const TileField<Tile>> fields) {
  Tile tile;
  for (const TileField<Tile>& field : fields) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!word.starts_with(field.name) || word.substr(field.name.size(), 1) != "=") return {};
    const std::string_view value = word.substr(field.name.size() + 1);
    if (!std::visit([&](auto member) { return parse_tile_value(value, tile.*member); },
                    field.member)) {
      return {};
    }
  }
  if (!text.empty()) return {};
  return tile;
}

}  // namespace fms::attention
