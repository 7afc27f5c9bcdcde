// Any bytes as a manifest: it is parsed, or refused; what is parsed is written as lines that parse
// to the same entries, and each entry resolves to kernels or to an error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fms;
  const auto manifest = Manifest::parse({reinterpret_cast<const char*>(data), size});
  if (!manifest) {
    if (manifest.error().message.empty()) std::abort();
    return 0;
  }
  const Target target{.arch = "sm_90a"};
  std::string lines;
  for (const ManifestEntry& entry : manifest->entries) {
    lines += to_json_line(entry) + '\n';
    // A name with a slash or a dot is looked up as a file, which a fuzzer has no business with.
    if (entry.template_name.find_first_of("/.") != std::string::npos) continue;
    const auto kernels = resolve(entry, target);
    if (kernels && kernels->empty()) std::abort();
  }
  const auto again = Manifest::parse(lines);
  if (!again || again->entries.size() != manifest->entries.size()) std::abort();
  for (std::size_t i = 0; i < again->entries.size(); ++i) {
    ManifestEntry expected = manifest->entries[i];
    expected.line = again->entries[i].line;  // blank lines and comments are gone
    if (again->entries[i] != expected) std::abort();
  }
  return 0;
}
