// Any bytes as a .npy file: it is read, or refused; what is read is written and read back the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "tools/fms/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fms::program;
  const auto array = parse_npy(std::as_bytes(std::span(data, size)), "fuzz");
  if (!array) {
    if (array.error().message.empty()) std::abort();
    return 0;
  }
  if (array->data.size() > size) std::abort();
  const auto again = parse_npy(format_npy(*array), "fuzz");
  if (!again || again->shape != array->shape || again->dtype != array->dtype ||
      again->data != array->data) {
    std::abort();
  }
  return 0;
}
