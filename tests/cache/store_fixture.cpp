#include "store_fixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "cache/sqlite.h"

namespace fms {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "fms_cache_test.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = fs::canonical(name);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::function<void(std::string_view)> Warnings::listener() {
  return [shared = shared_](std::string_view message) {
    const std::lock_guard lock(shared->mutex);
    shared->messages.emplace_back(message);
  };
}

std::vector<std::string> Warnings::all() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->messages;
}

bool Warnings::mention(std::string_view words) const {
  for (const std::string& message : all())
    if (message.find(words) != std::string::npos) return true;
  return false;
}

Digest sample_key(int n) { return sha256(fmt::format("key {}", n)); }

Target sample_target() { return {.kind = Target::Kind::kCuda, .arch = "sm_90a"}; }

ObjectCode sample_object(int n, std::size_t size) {
  ObjectCode object{.format = n % 2 == 0 ? ObjectFormat::kCubin : ObjectFormat::kPtx,
                    .target = sample_target(),
                    .entry = fmt::format("kernel_{}", n),
                    .log = fmt::format("ptxas info: kernel_{}", n),
                    .compiler = kCompiler,
                    .compile_ms = 100.5 + n};
  std::minstd_rand random(static_cast<unsigned>(n) + 1);
  object.bytes.resize(size);
  for (std::byte& byte : object.bytes) byte = static_cast<std::byte>(random() >> 8);
  object.resources.registers = 32 + n % 200;
  object.resources.static_smem_bytes = 1024;
  object.resources.max_threads = 256;
  object.resources.serialized_wgmma = n % 3 == 0;
  object.resources.parameters = {{.offset = 0, .size = 8}, {.offset = 8, .size = 4}};
  return object;
}

ObjectCode sample_host_object(int n) {
  ObjectCode object = sample_object(n);
  object.format = ObjectFormat::kElf;
  object.target = {.kind = Target::Kind::kCpu, .arch = "x86-64-v3"};
  object.compiler = kHostCompiler;
  return object;
}

StoreRecord sample_record(int n) {
  return {.template_name = "saxpy",
          .specialization = fmt::format("saxpy<kN={}>", n),
          .key_fields = {{.label = "compiler", .summary = kCompiler},
                         {.label = "target", .summary = "cuda:sm_90a"},
                         {.label = "source", .summary = fmt::format("{} bytes", n)}}};
}

StoredFailure sample_failure(int n) {
  return {.error = {.code = ErrorCode::kCompileFailed,
                    .message = fmt::format("kernel {} doesn't compile", n),
                    .detail = "line 3: error: expected a ;\n"},
          .compiler = kCompiler};
}

bool equal(const ObjectCode& a, const ObjectCode& b) {
  return a.format == b.format && a.target == b.target && a.entry == b.entry && a.bytes == b.bytes &&
         a.resources == b.resources && a.log == b.log && a.compiler == b.compiler &&
         a.compile_ms == b.compile_ms;
}

bool serves(KernelStore& store, int n, std::size_t size) {
  const auto found = store.find(sample_key(n));
  if (!found || !std::holds_alternative<ObjectCode>(*found)) return false;
  return equal(std::get<ObjectCode>(*found), sample_object(n, size));
}

bool misses(KernelStore& store, int n) { return !store.find(sample_key(n)); }

std::unique_ptr<KernelStore> open_or_die(const fs::path& directory, StoreOptions options) {
  auto store = KernelStore::open(directory, std::move(options));
  if (!store) {
    ADD_FAILURE() << store.error().message;
    std::abort();
  }
  return *std::move(store);
}

void make_sample_store(const fs::path& directory, int count, std::size_t size,
                       StoreOptions options) {
  const auto store = open_or_die(directory, std::move(options));
  for (int n = 0; n < count; ++n)
    ASSERT_TRUE(store->put(sample_key(n), sample_object(n, size), sample_record(n)));
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

void tamper(const fs::path& file, const char* sql) {
  auto database = cache::Database::open(file, cache::Access::kReadWrite, std::chrono::seconds(5));
  ASSERT_TRUE(database) << database.error().message;
  const auto done = database->execute(sql);
  ASSERT_TRUE(done) << done.error().message;
  database->set_checkpoint_on_close(true);
}

std::string query(const fs::path& file, const char* sql) {
  auto database = cache::Database::open(file, cache::Access::kReadWrite, std::chrono::seconds(5));
  if (!database) return database.error().message;
  auto text = database->text(sql);
  return text ? *text : text.error().message;
}

int start_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  const bool fine = body();
  ::_exit(fine ? 0 : 1);
}

int wait_for(int child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int in_child(const std::function<bool()>& body) { return wait_for(start_child(body)); }

int in_child_of_plain_user(const TemporaryFolder& folder, const std::function<bool()>& body) {
  constexpr uid_t kNobody = 65534;
  const bool root = ::geteuid() == 0;
  if (root) {
    EXPECT_EQ(::chown(folder.path().c_str(), kNobody, kNobody), 0);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
      EXPECT_EQ(::chown(entry.path().c_str(), kNobody, kNobody), 0);
  }
  return in_child([&] {
    if (root && (::setresgid(kNobody, kNobody, kNobody) != 0 ||
                 ::setresuid(kNobody, kNobody, kNobody) != 0))
      return false;
    return body();
  });
}

}  // namespace fms
