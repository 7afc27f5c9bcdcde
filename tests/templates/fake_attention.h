#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "compiler/object_code.h"
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms::attention {

// A kernel that the fake driver loads, with the parameters of the forward template of that name.
// mods_bytes: of the user's struct. maps: bytes of the maps of q, k and v.
inline FakeKernel fake_forward_kernel(const std::string& entry, std::uint32_t mods_bytes = 1,
                                      std::array<std::uint32_t, 3> maps = {128, 128, 128}) {
  if (entry == "attention_forward_sm90") {
    return {
        .name = entry,
        .parameter_sizes = {maps[0], maps[1], maps[2], 8, 8, 24, 88, 4, 4, 4, 4, 4, mods_bytes}};
  }
  return {.name = entry, .parameter_sizes = {8, 8, 8, 8, 8, 96, 88, 4, 4, 4, 4, 4, mods_bytes}};
}

}  // namespace fms::attention
