#include "runtime/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace fms {
namespace {

TEST(SingleFlightTest, OneThreadWorksAndAllGetItsResult) {
  SingleFlight<std::string, int> flights;
  std::atomic<int> runs{0}, inside{0}, joined_count{0};
  std::vector<std::thread> threads;
  std::vector<int> results(16);
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      ++inside;
      bool joined = false;
      const Result<int> result = flights.run(
          "key",
          [&]() -> Result<int> {
            while (inside < 16) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            return ++runs;
          },
          &joined);
      results[static_cast<std::size_t>(i)] = *result;
      if (joined) ++joined_count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  // A thread that was held up for 50 ms between its ++inside and run() works again, and rightly so.
  EXPECT_EQ(runs + joined_count, 16);
  EXPECT_LT(runs, 16);
  for (const int result : results) EXPECT_GE(result, 1);
}

TEST(SingleFlightTest, DifferentKeysWorkAtTheSameTime) {
  SingleFlight<int, int> flights;
  std::atomic<int> inside{0};
  const auto work = [&]() -> Result<int> {
    ++inside;
    while (inside < 2) std::this_thread::yield();  // hangs if the keys exclude each other
    return 0;
  };
  std::thread other([&] { EXPECT_TRUE(flights.run(1, work)); });
  EXPECT_TRUE(flights.run(2, work));
  other.join();
}

TEST(SingleFlightTest, AFailureIsNotRemembered) {
  SingleFlight<int, int> flights;
  EXPECT_FALSE(flights.run(1, []() -> Result<int> { return fail(ErrorCode::kIo, "no"); }));
  EXPECT_EQ(flights.run(1, []() -> Result<int> { return 7; }), 7);
}

}  // namespace
}  // namespace fms
