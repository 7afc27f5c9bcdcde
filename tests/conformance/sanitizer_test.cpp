// Planted faults, and what a kernel that checks itself says of them.

#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/conformance_fixture.h"
#include "tests/runtime/expectations.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

class SanitizerConformanceTest : public ConformanceTest {
 protected:
  // sanitizer/NAME.cu, checking itself.
  Kernel checked(const std::string& name, std::vector<Sanitizer> sanitizers) {
    const auto kernel = Specialization::make(load(name, {}, "sanitizer"), {});
    return must(sanitizing(std::move(sanitizers)).get(kernel.value(), device_));
  }

  // The message of a launch that fails.
  template <typename... Arguments>
  std::string fault(const Kernel& kernel, const LaunchConfig& config,
                    const Arguments&... arguments) {
    const Result<void> done = launch({}, config, kernel, arguments...);
    EXPECT_EQ(code_of(done), ErrorCode::kDriver);
    return message_of(done);
  }

  // Memory with nothing around it that could be accessed by mistake.
  template <typename T>
  T* memory(const std::vector<T>& values) {
    buffers_.push_back(upload(values));
    return static_cast<T*>(buffers_.back().data());
  }
  template <typename T>
  T* memory(std::size_t count) {
    return memory(std::vector<T>(count));
  }
  void free_last() { buffers_.pop_back(); }

 private:
  static Jit& sanitizing(std::vector<Sanitizer> sanitizers) {
    static std::map<std::vector<Sanitizer>, Jit> all;
    const auto found = all.find(sanitizers);
    if (found != all.end()) return found->second;
    JitOptions options;
    options.policy = Policy::kExact;
    options.log_level = LogLevel::kError;
    options.sanitize = sanitizers;
    return all.emplace(std::move(sanitizers), must(Jit::create(std::move(options)))).first->second;
  }

  std::vector<DeviceBuffer> buffers_;
};

TEST_P(SanitizerConformanceTest, AWriteBehindASharedVariableIsFound) {
  const Kernel kernel = checked("shared_write", {Sanitizer::kAddress});
  const std::string message = fault(kernel, {.grid = {3}, .block = {32}}, memory<int>(32));
  EXPECT_CONTAINS(message, "out-of-bounds write of 4 bytes at shared_write.cu:3");
  EXPECT_CONTAINS(message, "by thread (31,0,0) of block (0,0,0)");
  EXPECT_CONTAINS(message, "just past the end of shared variable tile, which has 128 bytes");
}

TEST_P(SanitizerConformanceTest, AReadAroundASharedVariableIsFound) {
  const Kernel kernel = checked("shared_read", {Sanitizer::kAddress});
  testing::must_succeed(launch({}, {.block = {32}}, kernel, memory<int>(32), 2));
  const std::string past = fault(kernel, {.block = {32}}, memory<int>(32), 3);
  EXPECT_CONTAINS(past, "out-of-bounds read of 4 bytes at shared_read.cu:9");
  EXPECT_CONTAINS(past,
                  "by thread (22,0,0) of block (0,0,0): 8 bytes past the end of shared "
                  "variable tile, which has 256 bytes");
  const std::string before = fault(kernel, {.block = {32}}, memory<int>(32), -1);
  EXPECT_CONTAINS(before, "by thread (1,0,0)");
  EXPECT_CONTAINS(before, "4 bytes before the start of shared variable tile");
}

TEST_P(SanitizerConformanceTest, AWriteBehindAnAllocationIsFound) {
  const Kernel kernel = checked("global_write", {Sanitizer::kAddress});
  const std::string message = fault(kernel, {.grid = {2}, .block = {64}}, memory<int>(100), 100);
  EXPECT_CONTAINS(message, "out-of-bounds write of 4 bytes at global_write.cu:3");
  EXPECT_CONTAINS(message, "by thread (36,0,0) of block (1,0,0)");
  EXPECT_CONTAINS(message, "just past the end of a device allocation of 400 bytes (0x");
}

TEST_P(SanitizerConformanceTest, ANegativeIndexIsFound) {
  const Kernel kernel = checked("global_read", {Sanitizer::kAddress});
  const std::string message = fault(kernel, {.block = {8}}, memory<short>(8), memory<short>(8));
  EXPECT_CONTAINS(message, "out-of-bounds read of 2 bytes at global_read.cu:3");
  EXPECT_CONTAINS(message, "by thread (0,0,0)");
  EXPECT_CONTAINS(message, "2 bytes before the start of a device allocation of 16 bytes");
}

TEST_P(SanitizerConformanceTest, AnIndexOutsideOfALocalArrayIsFound) {
  const Kernel kernel = checked("local_array", {Sanitizer::kAddress});
  std::vector<int> indices(32 * 4, 7);
  testing::must_succeed(launch({}, {.block = {32}}, kernel, memory(indices), memory<int>(32)));
  indices[4 * 17 + 2] = 8;
  const std::string past = fault(kernel, {.block = {32}}, memory(indices), memory<int>(32));
  EXPECT_CONTAINS(past, "out-of-bounds read of 4 bytes at local_array.cu:4");
  EXPECT_CONTAINS(past, "by thread (17,0,0)");
  EXPECT_CONTAINS(past, "just past the end of local variable counts, which has 32 bytes");
}

TEST_P(SanitizerConformanceTest, TooLittleDynamicSharedMemoryIsFound) {
  const Kernel kernel = checked("dynamic_shared", {Sanitizer::kAddress});
  float* const out = memory<float>(32);
  LaunchConfig config{.block = {32}, .dynamic_smem_bytes = 32 * 3 * 4};
  testing::must_succeed(launch({}, config, kernel, out, 3));
  config.dynamic_smem_bytes -= 2;
  const std::string message = fault(kernel, config, out, 3);
  EXPECT_CONTAINS(message, "out-of-bounds write of 4 bytes at dynamic_shared.cu:6");
  EXPECT_CONTAINS(message, "by thread (31,0,0)");
  EXPECT_CONTAINS(message,
                  "its last 2 bytes lie past the end of shared variable rows, which has "
                  "382 bytes");
}

TEST_P(SanitizerConformanceTest, AnIndexOutsideOfADeviceVariableIsFound) {
  const Kernel kernel = checked("device_table", {Sanitizer::kAddress});
  testing::must_succeed(launch({}, {.block = {4}}, kernel, memory<int>(4), 0));
  testing::must_succeed(launch({}, {.block = {4}}, kernel, memory(std::vector<int>(4, 1)), 0));
  const std::string message = fault(kernel, {.block = {4}}, memory<int>(4), 1);
  EXPECT_CONTAINS(message, "out-of-bounds read of 4 bytes at device_table.cu:8");
  EXPECT_CONTAINS(message, "by thread (3,0,0)");
  EXPECT_CONTAINS(message, "just past the end of variable table, which has 16 bytes");
}

TEST_P(SanitizerConformanceTest, ACopyThatGoesPastTheEndIsFound) {
  const Kernel kernel = checked("strided_copy", {Sanitizer::kAddress});
  const std::string message =
      fault(kernel, {.block = {2}}, memory<int>(64), memory<int>(2 * 64 - 1));
  EXPECT_CONTAINS(message, "strided_copy.cu:5 by thread (1,0,0)");
  EXPECT_CONTAINS(message, "past the end of a device allocation of 508 bytes");
}

TEST_P(SanitizerConformanceTest, MemoryThatIsNoLongerOrWasNeverThereIsFound) {
  const Kernel kernel = checked("touch", {Sanitizer::kAddress});
  int* const freed = memory<int>(1 << 20);
  free_last();
  const std::string after = fault(kernel, {.block = {32}}, freed);
  EXPECT_CONTAINS(after, "invalid read of 4 bytes at touch.cu:1 by thread (0,0,0)");
  EXPECT_CONTAINS(after, "inside a device allocation of 4194304 bytes");
  EXPECT_CONTAINS(after, "that was freed");
  EXPECT_CONTAINS(fault(kernel, {.block = {32}}, static_cast<int*>(nullptr)), "null pointer");
  int of_host[32];
  EXPECT_CONTAINS(fault(kernel, {.block = {32}}, static_cast<int*>(of_host)),
                  "near no allocation that is alive");
}

TEST_P(SanitizerConformanceTest, AMissingBarrierIsFound) {
  const Kernel kernel = checked("missing_barrier", {Sanitizer::kThread});
  const std::string message = fault(kernel, {.block = {128}}, memory<int>(128), memory<int>(128));
  EXPECT_CONTAINS(message, "data race in block (0,0,0) on shared variable partial at byte ");
  EXPECT_CONTAINS(message, "write at missing_barrier.cu:4 by thread (");
  EXPECT_CONTAINS(message, "read at missing_barrier.cu:5 by thread (");
  EXPECT_CONTAINS(message, "with no barrier between them");
}

TEST_P(SanitizerConformanceTest, AMissingBarrierBeforeTheNextRoundIsFound) {
  const Kernel kernel = checked("missing_second_barrier", {Sanitizer::kThread});
  const std::string message = fault(kernel, {.block = {64}}, memory<int>(4 * 64), memory<int>(64));
  EXPECT_CONTAINS(message, "on shared variable tile");
  EXPECT_CONTAINS(message, "write at missing_second_barrier.cu:6");
  EXPECT_CONTAINS(message, "read at missing_second_barrier.cu:8");
}

TEST_P(SanitizerConformanceTest, AMissingBarrierOfAWarpIsFound) {
  const Kernel kernel = checked("missing_syncwarp", {Sanitizer::kThread});
  testing::must_succeed(launch({}, {.block = {32}}, kernel, memory<int>(32), true));
  const std::string message = fault(kernel, {.block = {32}}, memory<int>(32), false);
  EXPECT_CONTAINS(message, "on shared variable values");
  EXPECT_CONTAINS(message, "write at missing_syncwarp.cu:4");
  EXPECT_CONTAINS(message, "read at missing_syncwarp.cu:6");
}

TEST_P(SanitizerConformanceTest, ABarrierOfHalfAWarpOrdersThatHalf) {
  const Kernel kernel = checked("half_a_warp", {Sanitizer::kThread});
  testing::must_succeed(launch({}, {.block = {32}}, kernel, memory<int>(32), 15));
  const std::string message = fault(kernel, {.block = {32}}, memory<int>(32), 16);
  EXPECT_CONTAINS(message, "write at half_a_warp.cu:4");
  EXPECT_CONTAINS(message, "read at half_a_warp.cu:6");
}

TEST_P(SanitizerConformanceTest, TwoThreadsThatWriteOneElementAreFound) {
  const Kernel kernel = checked("one_element", {Sanitizer::kThread});
  const std::string message = fault(kernel, {.grid = {2}, .block = {32}}, memory<int>(64));
  EXPECT_CONTAINS(message, "data race in block (0,0,0) on byte 0 of a device allocation of 256");
  EXPECT_CONTAINS(message,
                  "write at one_element.cu:3 by thread (0,0,0), write at "
                  "one_element.cu:3 by thread (1,0,0)");
  // Blocks of one thread have no other in them.
  testing::must_succeed(launch({}, {.grid = {8}}, kernel, memory<int>(8)));
}

TEST_P(SanitizerConformanceTest, APlainWriteRacesWithAnAtomicOne) {
  const Kernel kernel = checked("plain_and_atomic", {Sanitizer::kThread});
  const std::string message = fault(kernel, {.block = {32}}, memory<int>(32), memory<int>(1));
  EXPECT_CONTAINS(message, "on shared variable count");
  EXPECT_CONTAINS(message,
                  "write at plain_and_atomic.cu:3 by thread (0,0,0), atomic write at "
                  "plain_and_atomic.cu:4 by thread (1,0,0)");
}

TEST_P(SanitizerConformanceTest, AFlagThatIsWaitedForOrdersWhatItGuards) {
  const Kernel kernel = checked("flags", {Sanitizer::kThread});
  testing::must_succeed(launch({}, {.block = {64}}, kernel, memory<int>(1), true));
}

TEST_P(SanitizerConformanceTest, BytesOfAWordAreToldApart) {
  const Kernel kernel = checked("bytes_of_a_word", {Sanitizer::kThread});
  auto* const bytes = memory<unsigned char>(64);
  testing::must_succeed(launch({}, {.block = {64}}, kernel, bytes, bytes, false));
  const std::string message = fault(kernel, {.block = {64}}, bytes, bytes, true);
  EXPECT_CONTAINS(message, "write at bytes_of_a_word.cu:3 by thread (0,0,0)");
  EXPECT_CONTAINS(message, "write at bytes_of_a_word.cu:4 by thread (3,0,0)");
}

TEST_P(SanitizerConformanceTest, UndefinedArithmeticIsFound) {
  const Kernel kernel = checked("arithmetic", {Sanitizer::kUndefined});
  struct Case {
    int operation, a, b;
    const char* line;
    const char* message;
  };
  const int least = std::numeric_limits<int>::min(), most = std::numeric_limits<int>::max();
  const Case cases[] = {
      {0, most, 1, ":5 ", "signed integer overflow: 2147483647 + 1 of type int"},
      {1, least, 1, ":8 ", "signed integer overflow: -2147483648 - 1 of type int"},
      {2, 1 << 20, 1 << 20, ":11 ", "signed integer overflow: 1048576 * 1048576 of type int"},
      {3, least, 0, ":14 ", "signed integer overflow: -(-2147483648) of type int"},
      {4, 7, 0, ":17 ", "division by zero: 7 / 0 of type int"},
      {4, least, -1, ":17 ", "signed integer overflow: -2147483648 / -1 of type int"},
      {5, 9, 0, ":20 ", "division by zero: 9 / 0 of type int"},
      {6, 1, 32, ":23 ", "shift by 32 of 1, of type int with 32 bits"},
      {7, 5, -1, ":26 ", "shift by -1 of 5, of type int with 32 bits"},
      {8, 3, 0, ":29 ", "3000000000 of type float doesn't fit type int"},
      {9, least, 2, ":32 ", "signed integer overflow: -9223372036854775808 * 2 of type long long"},
  };
  for (const Case& each : cases) {
    std::vector<int> x(2 * 32, 1);
    x[2 * 3] = each.a;
    x[2 * 3 + 1] = each.b;
    const std::string message =
        fault(kernel, {.grid = {2}, .block = {32}}, memory(x), memory<int>(32), each.operation);
    EXPECT_CONTAINS(message, std::string("undefined behaviour at arithmetic.cu") + each.line);
    EXPECT_CONTAINS(message, "by thread (3,0,0) of block (0,0,0): ");
    EXPECT_CONTAINS(message, each.message);
  }
}

TEST_P(SanitizerConformanceTest, UndefinedUseOfPointersIsFound) {
  const Kernel kernel = checked("pointers", {Sanitizer::kUndefined});
  struct Case {
    int what;
    const char* line_and_thread;
    const char* message;
  };
  const Case cases[] = {
      {0, "pointers.cu:8 by thread (5,0,0)", "misaligned address: write of type int at 0x"},
      {1, "pointers.cu:9 by thread (6,0,0)", "write of type int through a null pointer"},
      {2, "pointers.cu:10 by thread (7,0,0)", "which isn't a multiple of 8"},
      {3, "pointers.cu:11 by thread (0,0,0)", "variable of type bool has the value 165"},
      {4, "pointers.cu:2 by thread (8,0,0)", "__builtin_unreachable() was reached"},
      {5, "pointers.cu:14 by thread (4,0,0)", "index 4 is out of bounds for type int[4]"},
  };
  for (const Case& each : cases) {
    const std::string message =
        fault(kernel, {.block = {32}}, memory(std::vector<unsigned char>(256, 0xa5)),
              static_cast<int*>(nullptr), each.what);
    EXPECT_CONTAINS(message, each.line_and_thread);
    EXPECT_CONTAINS(message, each.message);
  }
}

TEST_P(SanitizerConformanceTest, TheDeviceIsAsItWasAfterAFault) {
  const Kernel kernel =
      checked("global_write", {Sanitizer::kAddress, Sanitizer::kUndefined, Sanitizer::kThread});
  int* const x = memory<int>(4096);
  for (int round = 0; round < 3; ++round) {
    fault(kernel, {.grid = {33}, .block = {128}}, x, 4096 + round);
    testing::must_succeed(launch({}, {.grid = {33}, .block = {128}}, kernel, x, 4095));
  }
  std::vector<int> expected(4096);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(std::vector<int>(x, x + 4096), expected);
}

INSTANTIATE_TEST_SUITE_P(On, SanitizerConformanceTest, ::testing::Values("cpu"), target_name);

}  // namespace
}  // namespace fms
