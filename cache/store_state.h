#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cache/current_compilers.h"
#include "cache/fork_gate.h"
#include "cache/kernel_store.h"
#include "cache/store_file.h"
#include "cache/tables.h"

namespace fms::cache {

// The note that names the current compilers. Callers' notes can't have names under "store/".
inline constexpr std::string_view kReservedNotes = "store/";
inline constexpr std::string_view kCurrentCompilerNote = "store/current_compiler";

// The current compilers that the note names.
SqlResult<CurrentCompilers> read_current_compilers(Database& database);

// What a KernelStore is made of: one connection, one mutex, and what is still to be noted. It is
// worked on in a Session or a Job, by a thread that is in no other.
struct StoreState : ForkGate::Member {
  StoreState(StoreFile where_, StoreOptions options_);
  virtual ~StoreState();  // writes what is still to be noted, and closes

  void close_for_fork() override;
  std::int64_t now() const;

  // Constant after construction.
  StoreFile where;
  const StoreOptions options;

  std::atomic<bool> wal = false;  // of the last connection

  std::mutex mutex;
  // Guarded by `mutex`, as is everything below.
  pid_t pid;  // of the process that all this belongs to
  std::optional<OpenStore> open;
  std::chrono::steady_clock::time_point next_attempt{};  // to open it, after a failure
  bool damaged = false;                                  // beyond use: to be replaced
  bool told_of_trouble = false;                          // and nothing has worked since
  bool told_of_distrust = false;                         // of code for a CPU that isn't taken
  std::vector<std::string> warnings;                     // to be told at the Session's end
  CurrentCompilers current_compilers;                    // that this process has set
  struct Use {
    std::int64_t hits = 0, last_used = 0;
  };
  std::unordered_map<Digest, Use> uses;  // not yet written
  Counts counts;                         // not yet written
};

// A thread's short stay with the shared connection: holds the mutex and keeps forks out. Warnings
// are told when it is over, for the function that takes them is the caller's: it may be slow, call
// the store, or fork.
class Session {
 public:
  explicit Session(StoreState& state);
  Session(StoreState& state, const ForkGate::Pass& held);  // the thread has a pass already
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  StoreState& state() { return state_; }

  // The result of `work(Database&)`, on a connection that is opened if need be, and opened anew,
  // once, if the file turns out to have been moved.
  template <typename Work>
  auto run(const Work& work) -> decltype(work(std::declval<Database&>())) {
    for (int attempt = 0;; ++attempt) {
      FMS_TRY(Database * database, connection());
      auto result = work(*database);
      if (result) state_.told_of_trouble = false;
      if (result || attempt == 1 || !should_retry(result.error())) return result;
    }
  }

  // As run(), in one transaction.
  template <typename Work>
  auto write(const Work& work) -> decltype(work(std::declval<Database&>())) {
    return run([&](Database& database) -> decltype(work(database)) {
      FMS_TRY(Transaction transaction, Transaction::begin(database));
      auto result = work(database);
      if (result) FMS_TRY_VOID(transaction.commit());
      return result;
    });
  }

  // As write(), for callers with time: a store that is damaged beyond use is replaced first, one
  // that turns out to be is replaced then, and `work` is done on the new one.
  template <typename Work>
  auto write_repairing(const Work& work) -> decltype(work(std::declval<Database&>())) {
    reopen_if_moved();
    repair_if_damaged();
    auto result = write(work);
    if (result || !is_damage(result.error())) return result;
    state_.damaged = true;
    repair_if_damaged();
    return write(work);
  }

  // True if the path no longer names the file that is open: then the next run() opens it anew.
  bool reopen_if_moved();
  void repair_if_damaged();
  // Writes uses and counts; what can't be written is kept for the next time.
  SqlResult<void> flush();

  void warn(std::string message) { state_.warnings.push_back(std::move(message)); }
  // Unless trouble was told of already, and nothing has worked since.
  void warn_once(std::string_view doing, const SqlError& error);

  // Opens the file if it isn't open. Tries again at most once a second after a failure.
  Result<void> open();
  SqlResult<Database*> connection();

 private:
  void adopt_process();
  bool is_damage(const SqlError& error);
  bool should_retry(const SqlError& error);

  StoreState& state_;
  std::optional<ForkGate::Pass> pass_;  // taken before the mutex, so that fork() finds that free
  std::unique_lock<std::mutex> lock_;
};

// A thread's long stay: a connection of its own, so that lookups go on meanwhile. Forks wait.
class Job {
 public:
  static Result<Job> begin(StoreState& state, std::string_view doing);

  Database& database() { return *database_; }
  const ForkGate::Pass& pass() const { return *pass_; }

  // The error of this job.
  std::unexpected<Error> failed(const SqlError& error) const {
    return std::unexpected(to_error(doing_, error));
  }

 private:
  explicit Job(std::string doing)
      : doing_(std::move(doing)), pass_(std::make_unique<ForkGate::Pass>()) {}

  std::string doing_;
  std::unique_ptr<ForkGate::Pass> pass_;
  std::optional<Database> database_;
};

}  // namespace fms::cache

namespace fms {

struct KernelStore::State final : cache::StoreState {
  using StoreState::StoreState;
};

}  // namespace fms
