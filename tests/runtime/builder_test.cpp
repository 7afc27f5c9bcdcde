// Jit::build and has: store, tiers, locks and compiler, with no device.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "runtime/jit.h"
#include "tests/runtime/fake_compiler.h"
#include "tests/sanitizers.h"

namespace fms {
namespace {

namespace fs = std::filesystem;
using testing::FakeCompiler;
using testing::options_in;
using testing::sample;
using testing::TemporaryFolder;
using testing::text_of;

const Target kTarget{.kind = Target::Kind::kCuda, .arch = "sm_90a"};

TEST(BuilderTest, TheSecondBuildComesFromTheStore) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  Jit first = *Jit::create(options_in(folder.path(), compiler));
  const Result<Built> compiled = first.build(sample(100), kTarget);
  ASSERT_TRUE(compiled) << compiled.error().message;
  EXPECT_EQ(compiled->origin, Origin::kCompiled);
  EXPECT_EQ(first.store()->stats()->misses, 1) << "one miss, though the store is asked twice";

  Jit second = *Jit::create(options_in(folder.path(), compiler));
  const Result<Built> stored = second.build(sample(100), kTarget);
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(stored->origin, Origin::kStore);
  EXPECT_EQ(text_of(stored->object), text_of(compiled->object));
  EXPECT_EQ(stored->key, compiled->key);
  EXPECT_EQ(compiler->compiles, 1);
  EXPECT_EQ(second.stats().store_hits, 1);
  EXPECT_EQ(second.stats().compiles, 0);
}

TEST(BuilderTest, EveryValueTargetAndCompilerHasItsOwnCode) {
  const TemporaryFolder folder;
  std::set<std::string> codes;
  int built = 0;
  for (const char* fingerprint : {"fake 1.0 build 1", "fake 1.0 build 2"}) {
    Jit jit = *Jit::create(options_in(folder.path(), std::make_shared<FakeCompiler>(fingerprint)));
    for (const Specialization& specialization : {sample(100), sample(200), sample(-1)}) {
      for (const char* arch : {"sm_80", "sm_90", "sm_90a"}) {
        const Result<Built> code = jit.build(specialization, *Target::parse(arch));
        ASSERT_TRUE(code) << code.error().message;
        codes.insert(text_of(code->object));
        ++built;
      }
    }
  }
  EXPECT_EQ(codes.size(), static_cast<std::size_t>(built));
}

TEST(BuilderTest, OfflineAMissNamesTheKernelAndCompilesNothing) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(folder.path(), compiler);
  ASSERT_TRUE(Jit::create(options)->build(sample(1), kTarget));
  options.offline = true;
  Jit offline = *Jit::create(options);
  EXPECT_TRUE(offline.build(sample(1), kTarget)) << "what is stored is served";
  const Result<Built> miss = offline.build(sample(2), kTarget);
  ASSERT_FALSE(miss);
  EXPECT_EQ(miss.error().code, ErrorCode::kOffline);
  EXPECT_NE(miss.error().message.find("scale<"), std::string::npos) << miss.error().message;
  EXPECT_NE(miss.error().message.find("kN=2"), std::string::npos) << miss.error().message;
  EXPECT_EQ(compiler->compiles, 1);
}

TEST(BuilderTest, AHitNeedsNoCompiler) {
  const TemporaryFolder folder;
  ASSERT_TRUE(Jit::create(options_in(folder.path(), std::make_shared<FakeCompiler>()))
                  ->build(sample(1), kTarget));
  Jit jit = *Jit::create(options_in(folder.path(), nullptr));  // finds no NVRTC
  const Result<Built> hit = jit.build(sample(1), kTarget);
  ASSERT_TRUE(hit) << hit.error().message;
  EXPECT_EQ(hit->origin, Origin::kStore);
  const Result<Built> miss = jit.build(sample(2), kTarget);
  ASSERT_FALSE(miss);
  EXPECT_EQ(miss.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(miss.error().message.find("NVRTC"), std::string::npos) << miss.error().message;
}

TEST(BuilderTest, HasSaysWhatBuildWouldDoAndCountsAsNoUse) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  EXPECT_FALSE(*jit.has(sample(1), kTarget));
  ASSERT_TRUE(jit.build(sample(1), kTarget));
  EXPECT_TRUE(*jit.has(sample(1), kTarget));
  EXPECT_FALSE(*jit.has(sample(2), kTarget));
  EXPECT_EQ(compiler->compiles, 1);
  EXPECT_EQ(jit.store()->stats()->hits, 0);
}

TEST(BuilderTest, AFailedCompileIsStoredAndReplayed) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  compiler->failure = ErrorCode::kCompileFailed;
  for (int process = 0; process < 3; ++process) {
    Jit jit = *Jit::create(options_in(folder.path(), compiler));
    const Result<Built> failed = jit.build(sample(1), kTarget);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kCompileFailed);
    EXPECT_EQ(failed.error().message, "can't compile it");
    EXPECT_TRUE(failed.error().detail.starts_with("the whole log")) << failed.error().detail;
  }
  EXPECT_EQ(compiler->compiles, 1);
}

TEST(BuilderTest, ACancelledOrStarvedCompileIsNotStored) {
  for (const ErrorCode code : {ErrorCode::kCancelled, ErrorCode::kOutOfMemory, ErrorCode::kIo}) {
    const TemporaryFolder folder;
    const auto compiler = std::make_shared<FakeCompiler>();
    compiler->failure = code;
    Jit jit = *Jit::create(options_in(folder.path(), compiler));
    EXPECT_EQ(jit.build(sample(1), kTarget).error().code, code);
    compiler->failure = ErrorCode::kInternal;
    EXPECT_TRUE(jit.build(sample(1), kTarget)) << "it is tried again at once";
  }
}

TEST(BuilderTest, CancellingEndsACompile) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  compiler->delay = std::chrono::minutes(10);
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  const CancelToken cancel;
  std::thread canceller([&] {
    while (compiler->compiles == 0) std::this_thread::yield();
    cancel.cancel();
  });
  EXPECT_EQ(jit.build(sample(1), kTarget, cancel).error().code, ErrorCode::kCancelled);
  canceller.join();
}

TEST(BuilderTest, OthersDontFailWhenTheOneWhoCompilesIsCancelled) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  compiler->delay = std::chrono::milliseconds(300);
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  const CancelToken cancel;
  std::thread leader([&] {
    EXPECT_EQ(jit.build(sample(1), kTarget, cancel).error().code, ErrorCode::kCancelled);
  });
  while (compiler->compiles == 0) std::this_thread::yield();
  std::thread follower([&] { EXPECT_TRUE(jit.build(sample(1), kTarget)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  cancel.cancel();
  leader.join();
  follower.join();
}

TEST(BuilderTest, ThreadsThatAskForOneKernelCompileItOnce) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  compiler->delay = std::chrono::milliseconds(50);
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(jit.build(sample(1), kTarget)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(compiler->compiles, 1);
}

// Exit status of a child that runs `body`, which returns whether all went well.
template <typename Body>
pid_t start_process(const Body& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  return child;
}

TEST(BuilderTest, SixteenProcessesCompileOneKernelOnce) {
  const TemporaryFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 16; ++i) {
    children.push_back(start_process([&] {
      const auto compiler = std::make_shared<FakeCompiler>();
      compiler->delay = std::chrono::milliseconds(100);
      Jit jit = *Jit::create(options_in(folder.path(), compiler));
      return jit.build(sample(1), kTarget).has_value();
    }));
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Jit jit = *Jit::create(options_in(folder.path(), nullptr));
  EXPECT_EQ(jit.store()->stats()->compiles, 1);
}

TEST(BuilderTest, SixteenProcessesOfEightThreadsCompileFiftyKernelsOnceEach) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer can't follow threads after a fork";
  const TemporaryFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 16; ++i) {
    children.push_back(start_process([&, i] {
      const auto compiler = std::make_shared<FakeCompiler>();
      compiler->delay = std::chrono::milliseconds(2);
      Jit jit = *Jit::create(options_in(folder.path(), compiler));
      std::atomic<bool> good{true};
      std::vector<std::thread> threads;
      for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
          for (int k = 0; k < 50; ++k) {
            const int n = (k * 7 + i * 3 + t * 11) % 50;  // each thread in an order of its own
            const Specialization specialization = sample(n);
            const Result<Built> built = jit.build(specialization, kTarget);
            const std::string expected =
                "object code of " + cache_key(*jit.request(specialization, kTarget)).hex();
            if (!built || text_of(built->object) != expected) good = false;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      return good.load();
    }));
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Jit jit = *Jit::create(options_in(folder.path(), nullptr));
  const Result<StoreStats> stats = jit.store()->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->compiles, 50);
  EXPECT_EQ(stats->entries, 50);
  EXPECT_EQ(stats->corrupt_removed, 0);
}

TEST(BuilderTest, ACompileWhoseProcessIsKilledIsTakenOver) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = start_process([&] {
    struct Announcing : FakeCompiler {
      explicit Announcing(int fd) : fd_(fd) { delay = std::chrono::minutes(10); }
      Result<ObjectCode> compile(const CompileRequest& request,
                                 const CancelToken& cancel) const override {
        [[maybe_unused]] const ssize_t told = write(fd_, "c", 1);
        return FakeCompiler::compile(request, cancel);
      }
      int fd_;
    };
    Jit jit = *Jit::create(options_in(folder.path(), std::make_shared<Announcing>(ready[1])));
    return jit.build(sample(1), kTarget).has_value();
  });
  char compiling = 0;
  ASSERT_EQ(read(ready[0], &compiling, 1), 1);
  std::thread killer([&] {
    // By then the other one waits, also on a busy machine.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  });
  const auto compiler = std::make_shared<FakeCompiler>();
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  const Result<Built> built = jit.build(sample(1), kTarget);
  killer.join();
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(built->origin, Origin::kCompiled);
  EXPECT_GT(built->wait_ms, 0);
  EXPECT_EQ(compiler->compiles, 1);
  close(ready[0]);
  close(ready[1]);
}

TEST(BuilderTest, AWaiterOutOfPatienceCompilesForItself) {
  const TemporaryFolder folder;
  const auto slow = std::make_shared<FakeCompiler>();
  slow->delay = std::chrono::seconds(30);
  Jit first = *Jit::create(options_in(folder.path(), slow));
  const CancelToken cancel;
  std::thread other([&] { static_cast<void>(first.build(sample(1), kTarget, cancel)); });
  while (slow->compiles == 0) std::this_thread::yield();

  JitOptions options = options_in(folder.path(), std::make_shared<FakeCompiler>());
  options.lock_patience = std::chrono::milliseconds(50);
  options.log_level = LogLevel::kOff;
  const Result<Built> built = Jit::create(options)->build(sample(1), kTarget);
  EXPECT_TRUE(built) << built.error().message;
  set_log_level(LogLevel::kWarn);
  cancel.cancel();
  other.join();
}

TEST(BuilderTest, AReadOnlyTierServesWithoutBeingWritten) {
  const TemporaryFolder writer_folder, reader_folder;
  ASSERT_TRUE(Jit::create(options_in(writer_folder.path(), std::make_shared<FakeCompiler>()))
                  ->build(sample(1), kTarget));
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(reader_folder.path(), compiler);
  options.cache_dirs.push_back(writer_folder.path() / "store");
  Jit jit = *Jit::create(options);
  ASSERT_EQ(jit.read_tiers().size(), 1u);
  EXPECT_EQ(jit.build(sample(1), kTarget)->origin, Origin::kStore);
  EXPECT_EQ(jit.build(sample(2), kTarget)->origin, Origin::kCompiled);
  EXPECT_EQ(compiler->compiles, 1);
  Jit owner = *Jit::create(options_in(writer_folder.path(), compiler));
  EXPECT_EQ(owner.store()->stats()->entries, 1);
}

TEST(BuilderTest, ABundleServesAsATier) {
  const TemporaryFolder writer_folder, reader_folder;
  Jit writer = *Jit::create(options_in(writer_folder.path(), std::make_shared<FakeCompiler>()));
  ASSERT_TRUE(writer.build(sample(1), kTarget));
  const fs::path bundle = writer_folder.path() / "kernels.fms";
  ASSERT_EQ(writer.store()->export_bundle(bundle), 1);
  JitOptions options = options_in(reader_folder.path(), nullptr);
  options.cache_dirs = {bundle};
  options.offline = true;
  const Result<Built> built = Jit::create(options)->build(sample(1), kTarget);
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(built->origin, Origin::kStore);
}

TEST(BuilderTest, WithNoUsableFolderItWorksInMemory) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  JitOptions options = options_in(folder.path(), compiler);
  options.cache_dirs = {"/proc/nobody/may/write/here"};
  options.log_level = LogLevel::kOff;
  Jit jit = *Jit::create(options);
  set_log_level(LogLevel::kWarn);
  EXPECT_EQ(jit.store(), nullptr);
  EXPECT_EQ(jit.build(sample(1), kTarget)->origin, Origin::kCompiled);
}

TEST(BuilderTest, AStoreDeletedWhileOpenLosesNothingButTime) {
  const TemporaryFolder folder;
  const auto compiler = std::make_shared<FakeCompiler>();
  Jit jit = *Jit::create(options_in(folder.path(), compiler));
  ASSERT_TRUE(jit.build(sample(1), kTarget));
  fs::remove_all(folder.path() / "store");
  EXPECT_TRUE(jit.build(sample(1), kTarget));
  EXPECT_TRUE(jit.build(sample(2), kTarget));
}

TEST(BuilderTest, DumpsSourceCodeAndLog) {
  const TemporaryFolder folder;
  JitOptions options = options_in(folder.path(), std::make_shared<FakeCompiler>());
  options.dump_dir = folder.path() / "dump";
  ASSERT_TRUE(Jit::create(options)->build(sample(1), kTarget));
  std::set<std::string> kinds;
  for (const auto& entry : fs::directory_iterator(options.dump_dir)) {
    kinds.insert(entry.path().extension().string());
    EXPECT_TRUE(entry.path().filename().string().starts_with("scale-sm_90a-"));
  }
  EXPECT_EQ(kinds, (std::set<std::string>{".cu", ".cubin", ".log"}));
}

TEST(BuilderTest, AForkedChildUsesTheSameJit) {
  const TemporaryFolder folder;
  Jit jit = *Jit::create(options_in(folder.path(), std::make_shared<FakeCompiler>()));
  ASSERT_TRUE(jit.build(sample(1), kTarget));
  const pid_t child = start_process([&] {
    return jit.build(sample(1), kTarget)->origin == Origin::kStore &&
           jit.build(sample(2), kTarget).has_value();
  });
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(jit.build(sample(2), kTarget)->origin, Origin::kStore);
}

}  // namespace
}  // namespace fms
