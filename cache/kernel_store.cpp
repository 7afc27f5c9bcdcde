#include "cache/kernel_store.h"

#include <fmt/format.h>

#include <utility>

#include "cache/collector.h"
#include "cache/record.h"
#include "cache/store_state.h"

namespace fms {
namespace {

using cache::Content;
using cache::CurrentCompilers;
using cache::Database;
using cache::Record;
using cache::Session;
using cache::SqlFailure;
using cache::SqlResult;
using cache::StoreState;

constexpr std::size_t kMaxNoteName = 200;
constexpr std::size_t kMaxNoteValue = 64 << 10;

std::string short_key(const Digest& key) { return key.hex().substr(0, 12); }

// True of code that would run as this user, in a file that others may have written.
bool is_distrusted(const StoreState& state, const Record& record) {
  return state.open && !state.open->distrusted.empty() && cache::is_host_code(record);
}

// Reads what is under a key. A page that can't be read takes its record along, if the record can be
// removed at all; if not, the store is replaced by the next one who has the time.
std::optional<Record> read(StoreState& state, const Digest& key) {
  Session session(state);
  const auto attempt = [&] {
    return session.run([&](Database& database) { return cache::read_record(database, key); });
  };
  auto record = attempt();
  if (record && !*record && session.reopen_if_moved()) record = attempt();
  if (record && *record && is_distrusted(state, **record)) {
    if (!std::exchange(state.told_of_distrust, true))
      session.warn(fmt::format("code for a CPU is not taken from {}, since it would run as you: {}",
                               state.where.file.string(), state.open->distrusted));
    record->reset();
  }
  if (record) {
    if (!*record) ++state.counts.misses;
    return *std::move(record);
  }
  ++state.counts.misses;
  session.warn_once(
      fmt::format("can't read kernel {} from {}", short_key(key), state.where.file.string()),
      record.error());
  if (record.error().kind != SqlFailure::kDamaged || state.where.read_only) return {};
  const auto removed = session.write([&](Database& database) -> SqlResult<std::int64_t> {
    FMS_TRY(const std::int64_t count, cache::remove_key(database, key));
    FMS_TRY_VOID(cache::add_counts(database, {.corrupt_removed = count}));
    return count;
  });
  if (!removed && removed.error().kind == SqlFailure::kDamaged) state.damaged = true;
  return {};
}

// Removes a record that failed its check, unless it has been put again since.
void remove_corrupt(StoreState& state, const Digest& key, std::int64_t id, const Digest& checksum,
                    const Error& why) {
  Session session(state);
  ++state.counts.misses;
  const std::string which = fmt::format("the record of kernel {} in {} is damaged ({})",
                                        short_key(key), state.where.file.string(), why.message);
  if (state.where.read_only) {
    session.warn(which + "; it is passed over");
    return;
  }
  const auto removed = session.write([&](Database& database) -> SqlResult<std::int64_t> {
    FMS_TRY(const std::int64_t count, cache::remove_record(database, id, checksum));
    FMS_TRY_VOID(cache::add_counts(database, {.corrupt_removed = count}));
    return count;
  });
  if (removed) {
    session.warn(which + "; it was removed and will be compiled again");
  } else {
    session.warn_once(which + "; it can't be removed", removed.error());
    if (removed.error().kind == SqlFailure::kDamaged) state.damaged = true;
  }
}

// Counts a hit. False: a failure that no longer counts, which is a miss.
bool note_use(StoreState& state, const Digest& key, const Content& content, double compile_ms,
              std::int64_t expires) {
  Session session(state);
  const std::int64_t now = state.now();
  if (const auto* failure = std::get_if<StoredFailure>(&content)) {
    auto current = session.run(cache::read_current_compilers).value_or(CurrentCompilers());
    current.set_all(state.current_compilers);
    if (now >= expires || current.makes_obsolete(failure->compiler)) {
      ++state.counts.misses;
      return false;
    }
  }
  ++state.counts.hits;
  state.counts.compile_ms_saved += compile_ms;
  if (state.where.read_only) return true;
  StoreState::Use& use = state.uses[key];
  ++use.hits;
  use.last_used = now;
  return true;
}

// Writes a record, making room or repairing the store if that is what it takes.
bool keep(StoreState& state, const Record& record, const cache::Counts& counts) {
  if (state.where.read_only) return false;
  const auto attempt = [&](Session& session) {
    return session.write_repairing([&](Database& database) -> SqlResult<bool> {
      if (record.failed()) FMS_TRY_VOID(cache::remove_expired_failures(database, record.created));
      FMS_TRY(const bool written, cache::write_record(database, record));
      FMS_TRY_VOID(cache::add_counts(database, counts));
      return written;
    });
  };
  bool crowded = false;
  for (const bool last : {false, true}) {
    {
      Session session(state);
      const auto written = attempt(session);
      if (written) {
        state.open->wrote_records = true;
        const auto over = session.run([&](Database& database) {
          return cache::over_limit(database, state.options.max_bytes);
        });
        crowded = over && *over;
        if (!crowded) return *written;
      } else if (last || written.error().kind != SqlFailure::kFull) {
        session.warn_once(fmt::format("can't keep kernel {} in {}", short_key(record.key),
                                      state.where.file.string()),
                          written.error());
        return false;
      }
    }
    if (crowded) break;
    static_cast<void>(cache::collect(state, {.limit = {}, .make_room = true}));
  }
  static_cast<void>(cache::collect(state, {.limit = state.options.max_bytes, .make_room = false}));
  return true;
}

bool warn_of_refusal(StoreState& state, const Digest& key, const Error& error) {
  Session session(state);
  session.warn(fmt::format("kernel {} isn't kept in {}: {}", short_key(key),
                           state.where.file.string(), error.message));
  return false;
}

cache::StoreFile store_file(std::filesystem::path file, const StoreOptions& options) {
  return {.file = std::move(file),
          .allow_wal = options.allow_wal,
          .busy_timeout = options.busy_timeout};
}

}  // namespace

KernelStore::KernelStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
KernelStore::~KernelStore() = default;

Result<std::unique_ptr<KernelStore>> KernelStore::open(const std::filesystem::path& directory,
                                                       StoreOptions options) {
  FMS_TRY(const std::filesystem::path folder, cache::prepare_folder(directory));
  cache::StoreFile where = store_file(folder / "kernels.db", options);
  auto state = std::make_unique<State>(std::move(where), std::move(options));
  FMS_TRY_VOID(Session(*state).open());
  return std::unique_ptr<KernelStore>(new KernelStore(std::move(state)));
}

Result<std::unique_ptr<KernelStore>> KernelStore::open_read_only(const std::filesystem::path& path,
                                                                 StoreOptions options) {
  std::error_code error;
  std::filesystem::path file = std::filesystem::canonical(path, error);
  if (error)
    return fail(
        error == std::errc::no_such_file_or_directory ? ErrorCode::kNotFound : ErrorCode::kIo,
        fmt::format("can't open the kernel store {}: {}", path.string(), error.message()));
  const bool bundle = !std::filesystem::is_directory(file, error);
  if (!bundle) file /= "kernels.db";
  cache::StoreFile where = store_file(std::move(file), options);
  where.read_only = true;
  where.bundle = bundle;
  auto state = std::make_unique<State>(std::move(where), std::move(options));
  FMS_TRY_VOID(Session(*state).open());
  return std::unique_ptr<KernelStore>(new KernelStore(std::move(state)));
}

std::optional<KernelStore::Found> KernelStore::find(const Digest& key) {
  std::optional<Record> record = read(*state_, key);
  if (!record) return {};
  const auto [id, expires] = std::pair(record->id, record->expires);
  const double compile_ms = record->compile_ms;
  const Digest checksum = record->checksum;
  // Outside of the Session: other threads read while this one hashes.
  Result<Content> content = decode(*std::move(record), key);
  if (!content) {
    remove_corrupt(*state_, key, id, checksum, content.error());
    return {};
  }
  if (!note_use(*state_, key, *content, compile_ms, expires)) return {};
  return *std::move(content);
}

Presence KernelStore::presence(const Digest& key) {
  Session session(*state_);
  const auto row = session.run([&](Database& database) { return cache::read_row(database, key); });
  if (!row || !*row || is_distrusted(*state_, **row)) return Presence::kNothing;
  return (*row)->failed() ? Presence::kFailure : Presence::kCode;
}

bool KernelStore::put(const Digest& key, const ObjectCode& object, const StoreRecord& record) {
  const auto encoded = cache::encode(key, object, record, state_->now());
  if (!encoded) return warn_of_refusal(*state_, key, encoded.error());
  return keep(*state_, *encoded, {.compiles = 1, .compile_ms_spent = encoded->compile_ms});
}

bool KernelStore::put_failure(const Digest& key, const StoredFailure& failure,
                              const StoreRecord& record, const Target& target) {
  const ErrorCode code = failure.error.code;
  // Out of memory, I/O, cancelled: the next attempt may go well.
  if (code != ErrorCode::kCompileFailed && code != ErrorCode::kRejected) return false;
  const std::int64_t now = state_->now();
  const auto encoded = cache::encode(key, failure, record, target, now,
                                     now + state_->options.failure_lifetime.count());
  if (!encoded) return warn_of_refusal(*state_, key, encoded.error());
  return keep(*state_, *encoded, {.failures = 1});
}

std::optional<std::string> KernelStore::find_note(std::string_view name) {
  Session session(*state_);
  auto note = session.run([&](Database& database) { return cache::read_note(database, name); });
  if (!note) return {};
  return *std::move(note);
}

bool KernelStore::put_note(std::string_view name, std::string_view value) {
  if (state_->where.read_only || name.empty() || name.size() > kMaxNoteName ||
      value.size() > kMaxNoteValue || name.starts_with(cache::kReservedNotes))
    return false;
  Session session(*state_);
  const auto written = session.write_repairing(
      [&](Database& database) { return cache::write_note(database, name, value); });
  if (!written)
    session.warn_once(fmt::format("can't keep a note in {}", state_->where.file.string()),
                      written.error());
  return written.has_value();
}

std::vector<std::string> KernelStore::compilers() {
  Session session(*state_);
  auto compilers = session.run([](Database& database) { return cache::list_compilers(database); });
  return compilers ? *std::move(compilers) : std::vector<std::string>();
}

void KernelStore::set_current_compiler(std::string_view fingerprint) {
  Session session(*state_);
  state_->current_compilers.set(fingerprint);
  if (state_->where.read_only) return;
  // Written only when it changes, so that starting a process writes nothing.
  const auto known = session.run(cache::read_current_compilers);
  CurrentCompilers changed = known.value_or(CurrentCompilers());
  changed.set(fingerprint);
  if (!known || changed == *known) return;
  const auto written = session.write([&](Database& database) -> SqlResult<void> {
    // Read again: another process may have set a compiler of another name since.
    FMS_TRY(CurrentCompilers current, cache::read_current_compilers(database));
    current.set(fingerprint);
    return cache::write_note(database, cache::kCurrentCompilerNote, current.to_note());
  });
  if (!written)
    session.warn_once(fmt::format("can't keep a note in {}", state_->where.file.string()),
                      written.error());
}

void KernelStore::flush() {
  Session session(*state_);
  if (const auto flushed = session.flush(); !flushed)
    session.warn_once(fmt::format("can't note uses in {}", state_->where.file.string()),
                      flushed.error());
}

const std::filesystem::path& KernelStore::path() const { return state_->where.file; }
bool KernelStore::read_only() const { return state_->where.read_only; }
std::string_view KernelStore::journal_mode() const { return state_->wal ? "wal" : "delete"; }

}  // namespace fms
