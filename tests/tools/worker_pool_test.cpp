#include "tools/fms/worker_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace fms::program {
namespace {

// A worker that answers "did ITEM", and dies of items named "die".
std::vector<std::string> shell_worker(const std::string& body) {
  return {"/bin/sh", "-c", "while read -r item; do " + body + "; done"};
}

const std::string kEcho = "echo \"did $item\"";
const std::string kDieOfDie = "case $item in die*) kill -9 $$;; esac; " + kEcho;

struct Seen {
  std::map<std::size_t, WorkOutcome> outcomes;
  int deaths = 0;

  WorkEvents events() {
    return {.died = [this](std::size_t, const std::string&) { ++deaths; },
            .done = [this](const WorkOutcome& outcome) { outcomes[outcome.item] = outcome; }};
  }
};

std::vector<std::string> numbered(int count) {
  std::vector<std::string> items;
  for (int i = 0; i < count; ++i) items.push_back(std::to_string(i));
  return items;
}

TEST(WorkerPoolTest, EveryItemIsAnsweredOnce) {
  const auto items = numbered(200);
  Seen seen;
  int answers = 0;
  WorkEvents events = seen.events();
  const auto inner = events.done;
  events.done = [&](const WorkOutcome& outcome) {
    ++answers;
    inner(outcome);
  };
  ASSERT_TRUE(work_through({.command = shell_worker(kEcho), .workers = 4}, items, events));
  EXPECT_EQ(answers, 200);
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(seen.outcomes[i].answer, "did " + items[i]);
  }
}

TEST(WorkerPoolTest, WorkIsSharedAmongTheWorkers) {
  Seen seen;
  const auto items = numbered(8);
  // Each worker says who it is; a sleep keeps one from taking all items.
  ASSERT_TRUE(work_through({.command = shell_worker("sleep 0.05; echo $$"), .workers = 2}, items,
                           seen.events()));
  std::set<std::string> workers;
  for (const auto& [item, outcome] : seen.outcomes) workers.insert(outcome.answer);
  EXPECT_EQ(workers.size(), 2u);
}

TEST(WorkerPoolTest, AnItemThatKillsItsWorkerIsTriedTwiceAndTheOthersAreDone) {
  const std::vector<std::string> items{"a", "die", "b", "c"};
  Seen seen;
  ASSERT_TRUE(
      work_through({.command = shell_worker(kDieOfDie), .workers = 2}, items, seen.events()));
  EXPECT_EQ(seen.deaths, 1) << "the second death is the outcome";
  ASSERT_EQ(seen.outcomes.size(), 4u);
  EXPECT_TRUE(seen.outcomes[1].answer.empty());
  EXPECT_EQ(seen.outcomes[1].attempts, 2);
  EXPECT_NE(seen.outcomes[1].death.find("signal 9"), std::string::npos) << seen.outcomes[1].death;
  EXPECT_EQ(seen.outcomes[3].answer, "did c");
}

TEST(WorkerPoolTest, AnItemWhoseWorkerDiedOnceSucceedsAtTheSecondTry) {
  char folder[] = "worker_pool_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string mark = std::string(folder) + "/mark";
  const std::string body = "if mkdir " + mark + " 2>/dev/null; then kill -9 $$; fi; " + kEcho;
  const std::vector<std::string> items{"once"};
  Seen seen;
  ASSERT_TRUE(work_through({.command = shell_worker(body)}, items, seen.events()));
  EXPECT_EQ(seen.outcomes[0].answer, "did once");
  EXPECT_EQ(seen.outcomes[0].attempts, 2);
  ASSERT_EQ(std::system(("rm -r " + std::string(folder)).c_str()), 0);
}

TEST(WorkerPoolTest, WorkersThatNeverReadEndEveryItem) {
  const auto items = numbered(3);
  Seen seen;
  ASSERT_TRUE(work_through({.command = {"/bin/false"}, .workers = 2}, items, seen.events()));
  ASSERT_EQ(seen.outcomes.size(), 3u);
  for (const auto& [item, outcome] : seen.outcomes) {
    EXPECT_NE(outcome.death.find("exit code 1"), std::string::npos) << outcome.death;
  }
}

TEST(WorkerPoolTest, CancellingEndsTheWorkers) {
  const auto items = numbered(2);
  Seen seen;
  const auto worked =
      work_through({.command = shell_worker("sleep 1000"), .cancelled = [] { return true; }}, items,
                   seen.events());
  ASSERT_FALSE(worked.has_value());
  EXPECT_EQ(worked.error().code, ErrorCode::kCancelled);
}

TEST(WorkerPoolTest, AProgramThatDoesNotExistIsAnError) {
  const auto items = numbered(1);
  Seen seen;
  const auto worked = work_through({.command = {"/no/such/program"}}, items, seen.events());
  ASSERT_FALSE(worked.has_value());
  EXPECT_NE(worked.error().message.find("/no/such/program"), std::string::npos);
}

}  // namespace
}  // namespace fms::program
