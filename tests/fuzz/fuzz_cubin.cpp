// Object code, and the logs that come with it: from a store's record or a bundle, bytes of anyone.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "compiler/compile_log.h"
#include "compiler/object_code.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto read = fms::read_cubin(std::vector<std::byte>(bytes, bytes + size), "k");
  if (read && (read->registers < 0 || read->static_smem_bytes < 0 || read->max_threads < 0)) {
    std::abort();
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fms::Resources resources;
  fms::read_ptxas_log(text, "k", resources);
  if (resources.spill_stores < 0 || resources.spill_loads < 0) std::abort();
  const std::vector<fms::Diagnostic> errors = fms::find_errors(text);
  const fms::SourceFile source{.name = "k.cu", .text = "a\n\tb\nc"};
  fms::show_errors(errors, {&source, 1});
  return 0;
}
