// Bundles come from elsewhere: whatever their bytes are, an import adds all of a sound bundle or
// nothing, and reading one as a tier serves only what passes its checks.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "cache/kernel_store.h"

namespace {

namespace fs = std::filesystem;

// A folder for the run, gone at its end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "fms_fuzz_bundle.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Target {
  Folder folder;
  fs::path bundle = folder.path() / "input.fms";
  std::unique_ptr<fms::KernelStore> store;

  Target() {
    auto opened = fms::KernelStore::open(folder.path() / "store");
    if (!opened) std::abort();
    store = *std::move(opened);
  }
};

void require(bool fact) {
  if (!fact) std::abort();
}

void import_bundle(Target& target) {
  const auto report = target.store->import_bundle(target.bundle);
  const auto entries = target.store->list();
  require(entries.has_value());
  if (!report) {
    require(entries->empty());
    require(!report.error().message.empty());
    return;
  }
  require(report->added == static_cast<std::int64_t>(entries->size()));
  for (const fms::StoreEntry& entry : *entries) require(target.store->find(entry.key).has_value());
  require(target.store->clear().has_value());
}

void read_as_tier(const Target& target) {
  const auto tier = fms::KernelStore::open_read_only(target.bundle);
  if (!tier) return;
  if (const auto entries = (*tier)->list()) {
    for (const fms::StoreEntry& entry : *entries) {
      static_cast<void>((*tier)->find(entry.key));
      static_cast<void>((*tier)->explain(entry.key.hex()));
    }
    if (!entries->empty())
      static_cast<void>((*tier)->nearest(entries->front().template_name, {}, {}));
  }
  static_cast<void>((*tier)->verify());
  static_cast<void>((*tier)->stats());
  static_cast<void>((*tier)->compilers());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Target target;
  std::ofstream(target.bundle, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  import_bundle(target);
  read_as_tier(target);
  return 0;
}
