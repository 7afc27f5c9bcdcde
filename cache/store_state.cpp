#include "cache/store_state.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <system_error>

namespace fms::cache {
namespace {

// After a failure to open: so that each of a thousand lookups doesn't try it.
constexpr std::chrono::seconds kPause{1};

// Much more than any record needs.
constexpr std::uintmax_t kPlentyOfSpace = 512 << 20;

SqlError to_sql_error(Error error) {
  const SqlFailure kind = error.code == ErrorCode::kTimeout ? SqlFailure::kBusy : SqlFailure::kIo;
  return {.kind = kind, .message = std::move(error.message)};
}

Result<OpenStore> open_any(const StoreFile& where) {
  if (where.read_only) return open_store_read_only(where);
  // Again and not only at first: the folder may have been deleted, or opened to others, since.
  FMS_TRY_VOID(prepare_folder(where.file.parent_path()));
  return open_store(where);
}

}  // namespace

SqlResult<CurrentCompilers> read_current_compilers(Database& database) {
  FMS_TRY(const std::optional<std::string> note, read_note(database, kCurrentCompilerNote));
  return CurrentCompilers::from_note(note.value_or(""));
}

StoreState::StoreState(StoreFile where_, StoreOptions options_)
    : where(std::move(where_)), options(std::move(options_)), pid(::getpid()) {
  where.warn = [this](std::string message) { warnings.push_back(std::move(message)); };
  ForkGate::add(*this);
}

StoreState::~StoreState() {
  {
    Session session(*this);
    if (const auto flushed = session.flush(); !flushed)
      session.warn_once(fmt::format("can't note uses in {}", where.file.string()), flushed.error());
    if (open) close_store(where, *std::move(open));
    open.reset();
  }
  ForkGate::remove(*this);
}

void StoreState::close_for_fork() {
  if (pid != ::getpid() && open) open->database.abandon();
  open.reset();
}

std::int64_t StoreState::now() const {
  return options.now ? options.now() : static_cast<std::int64_t>(std::time(nullptr));
}

Session::Session(StoreState& state) : state_(state), pass_(std::in_place), lock_(state.mutex) {
  adopt_process();
}

Session::Session(StoreState& state, const ForkGate::Pass&) : state_(state), lock_(state.mutex) {
  adopt_process();
}

Session::~Session() {
  // Within a Job they wait for the next Session.
  if (!pass_) return;
  const std::vector<std::string> warnings = std::exchange(state_.warnings, {});
  lock_.unlock();
  pass_.reset();
  if (!state_.options.warn) return;
  for (const std::string& warning : warnings) state_.options.warn(warning);
}

void Session::adopt_process() {
  const pid_t self = ::getpid();
  if (state_.pid == self) return;
  // A child. fork() has closed the connection; a child by a bare system call still has it, and must
  // neither use nor close it. The uses are the parent's to write.
  if (state_.open) state_.open->database.abandon();
  state_.open.reset();
  state_.uses.clear();
  state_.counts = {};
  state_.pid = self;
}

Result<void> Session::open() {
  if (state_.open) return {};
  const auto now = std::chrono::steady_clock::now();
  if (now < state_.next_attempt)
    return fail(ErrorCode::kIo,
                fmt::format("can't open {}: that failed a moment ago", state_.where.file.string()));
  auto opened = open_any(state_.where);
  if (!opened) {
    state_.next_attempt = now + kPause;
    return std::unexpected(std::move(opened).error());
  }
  state_.wal.store(opened->journal_mode == "wal", std::memory_order_relaxed);
  state_.open.emplace(*std::move(opened));
  return {};
}

SqlResult<Database*> Session::connection() {
  if (auto opened = open(); !opened)
    return std::unexpected(to_sql_error(std::move(opened).error()));
  return &state_.open->database;
}

bool Session::is_damage(const SqlError& error) {
  if (error.kind != SqlFailure::kFull) return error.kind == SqlFailure::kDamaged;
  // A damaged count of pages also makes SQLite say that the disk is full.
  std::error_code ignored;
  const auto space = std::filesystem::space(state_.where.file.parent_path(), ignored);
  if (space.available == static_cast<std::uintmax_t>(-1) || space.available < kPlentyOfSpace)
    return false;
  const auto sound = run([](Database& database) { return database.text("PRAGMA quick_check(1)"); });
  return sound ? *sound != "ok" : sound.error().kind == SqlFailure::kDamaged;
}

bool Session::should_retry(const SqlError& error) {
  if (error.kind == SqlFailure::kBusy || error.kind == SqlFailure::kFull) return false;
  return reopen_if_moved();
}

bool Session::reopen_if_moved() {
  if (!state_.open || state_.open->still_there(state_.where)) return false;
  state_.open.reset();
  state_.damaged = false;
  state_.next_attempt = {};
  return true;
}

void Session::repair_if_damaged() {
  if (!state_.damaged || state_.where.read_only || !state_.open) return;
  state_.damaged = false;
  const FileIdentity identity = state_.open->identity;
  state_.open.reset();
  if (auto replaced = replace_damaged(state_.where, identity); !replaced)
    warn(replaced.error().message);
}

SqlResult<void> Session::flush() {
  if (state_.where.read_only || (state_.uses.empty() && state_.counts.is_zero())) return {};
  auto written = write([&](Database& database) -> SqlResult<void> {
    for (const auto& [key, use] : state_.uses)
      FMS_TRY_VOID(add_use(database, key, use.hits, use.last_used));
    return add_counts(database, state_.counts);
  });
  if (!written) return written;
  state_.uses.clear();
  state_.counts = {};
  return {};
}

void Session::warn_once(std::string_view doing, const SqlError& error) {
  if (!std::exchange(state_.told_of_trouble, true)) warn(to_error(doing, error).message);
}

Result<Job> Job::begin(StoreState& state, std::string_view doing) {
  Job job(fmt::format("can't {} {}", doing, state.where.file.string()));
  Session session(state, *job.pass_);
  session.reopen_if_moved();
  if (auto shared = session.connection(); !shared) return job.failed(shared.error());
  auto own = connect(state.where, *state.open);
  if (!own) return job.failed(own.error());
  job.database_.emplace(*std::move(own));
  return job;
}

}  // namespace fms::cache
