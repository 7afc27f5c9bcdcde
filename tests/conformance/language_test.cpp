// What of C++ and of CUDA kernels are made: control flow, calls, arguments, variables, output.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class LanguageConformanceTest : public ConformanceTest {};

TEST_P(LanguageConformanceTest, ASwitchInALoopFallsThroughBreaksAndContinues) {
  const std::vector<int> program{1, 2, 3, 0, 1000, 42, 2, 1, 0, -7, 3, 5, 1000};
  const int length = static_cast<int>(program.size());
  const auto out = poisoned<int>(200);
  run(kernel("switches"), {.grid = {2}, .block = {100}}, array(program), length, out);
  std::vector<int> expected;
  for (int thread = 0; thread < 200; ++thread) {
    int value = thread % 100;
    for (int i = 0; i < length; ++i) {
      const int instruction = program[(thread + i) % length];
      if (instruction == -7) break;
      if (instruction == 0) continue;
      if (instruction == 1) value += 1;
      if (instruction == 2) value *= 3;
      if (instruction == 2 || instruction == 3) value ^= 0x55;
      if (instruction == 1000) value = -value;
      if (instruction == 42 || instruction == 5) value += instruction;
      value &= 0xffff;
    }
    expected.push_back(value);
  }
  EXPECT_TRUE(same(out.values(), expected));
}

TEST_P(LanguageConformanceTest, FunctionsRecur) {
  constexpr unsigned kThreads = 130;
  const auto out = poisoned<unsigned>(kThreads * 3);
  run(kernel("recursion"), {.grid = {2}, .block = {kThreads / 2}}, out);
  const unsigned fibonacci[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144};
  std::vector<unsigned> expected;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    const unsigned is_even = thread % 50 % 2 == 0;
    expected.insert(expected.end(), {2 * (thread % 8) + 3, fibonacci[thread % 13], is_even});
  }
  EXPECT_TRUE(same(out.values(), expected));
}

TEST_P(LanguageConformanceTest, FunctionsAreCalledThroughPointersAndTables) {
  const auto out = poisoned<int>(96 * 2);
  run(kernel("function_pointers"), {.grid = {1}, .block = {96}}, array(std::vector<int>{7, 5, 3}),
      3, out);
  std::vector<int> expected;
  for (int thread = 0; thread < 96; ++thread) {
    expected.push_back(thread % 3 == 0 ? 15 : thread % 3 == 1 ? 105 : -1);
    expected.push_back(thread % 2 == 0 ? thread * thread : thread * 3);
  }
  EXPECT_TRUE(same(out.values(), expected));
}

TEST_P(LanguageConformanceTest, LambdasTemplatesAndClassesAreThoseOfCpp) {
  constexpr int kCount = 301, kScale = 10;
  const auto out = poisoned<int>(kCount);
  run(kernel("lambdas_and_templates"), {.block = {64}}, out, kCount, kScale);
  std::vector<int> expected;
  for (int i = 0; i < kCount; ++i) {
    const int color = i % 2 == 0 ? 3 : 5;
    const int sum = i + 2 - 1 + color;
    expected.push_back(i + (2 * i + 1) + kScale * i + sum + 120 + 2 * i +
                       static_cast<signed char>(i));
  }
  EXPECT_TRUE(same(out.values(), expected));
}

struct Mixed {
  char a;
  double b;
  short c;
  float d[3];
  unsigned char e[5];
  long long f;
  bool g;
};
struct alignas(16) Aligned {
  float x[6];
};
struct alignas(16) Float4 {
  float x, y, z, w;
};
struct alignas(8) Int2 {
  int x, y;
};
struct Float3 {
  float x, y, z;
};
struct Empty {};
struct Table {
  long long values[12];
};

TEST_P(LanguageConformanceTest, StructsArePassedByValueAtTheirOwnOffsets) {
  const auto out = poisoned<double>(26);
  const Mixed mixed{'A', 0.25, -300, {1, 2, 3}, {250, 251, 252, 253, 254}, 1ll << 40, true};
  Table table;
  std::iota(std::begin(table.values), std::end(table.values), -(1ll << 33));
  run(kernel("struct_arguments"), {.block = {32}}, 'z', mixed, true, Float3{1, 2, 3}, short{-12345},
      Aligned{{1, 2, 3, 4, 5, 6}}, Empty{}, out, static_cast<unsigned char>(200), table,
      Float4{4, 3, 2, 1}, Int2{100, -100});
  std::vector<double> expected{
      122, 65 + 0.25 - 300 + 6 + 1260 + double{1ll << 40} + 1, 1, 321, -12345, 1, 2, 3, 4, 5, 6,
      200};
  for (const long long value : table.values) expected.push_back(static_cast<double>(value));
  expected.insert(expected.end(), {1234, 200});
  EXPECT_TRUE(same(out.values(), expected));
}

TEST_P(LanguageConformanceTest, ArraysOfAThreadAreIndexedAtRunTimeAndOutliveBarriers) {
  constexpr int kThreads = 2 * 96, kEach = 17;
  const auto x = random_integers<unsigned char>(kThreads * kEach, 0, 255);
  const auto sorted = poisoned<unsigned char>(x.size());
  const auto most_frequent = poisoned<int>(kThreads), kept = poisoned<int>(kThreads);
  run(kernel("local_arrays"), {.grid = {2}, .block = {96}}, array(x), sorted, most_frequent, kept);
  std::vector<unsigned char> expected = x;
  std::vector<int> expected_most, expected_kept;
  std::vector<std::vector<int>> counts(kThreads, std::vector<int>(8));
  for (int thread = 0; thread < kThreads; ++thread) {
    const auto start = expected.begin() + thread * kEach;
    std::sort(start, start + kEach);
    std::for_each(start, start + kEach, [&](int value) { ++counts[thread][value % 8]; });
    const auto most = std::ranges::max_element(counts[thread]);
    expected_most.push_back(static_cast<int>(most - counts[thread].begin()));
  }
  for (int thread = 0; thread < kThreads; ++thread) {
    const int mirror = thread / 96 * 96 + 95 - thread % 96;
    expected_kept.push_back(counts[thread][expected_most[mirror]]);
  }
  EXPECT_TRUE(same(sorted.values(), expected));
  EXPECT_TRUE(same(most_frequent.values(), expected_most));
  EXPECT_TRUE(same(kept.values(), expected_kept));
}

TEST_P(LanguageConformanceTest, VariablesOfAModuleStartAsWrittenAndLiveOnAsLongAsItIsLoaded) {
  const Specialization variables = Specialization::make(load("device_variables"), {}).value();
  for (int load = 0; load < 2; ++load) {
    Jit jit = make_jit(Policy::kExact);  // loads a module of its own
    const Kernel kernel = jit.get(variables, device_).value();
    std::vector<double> scratch(64, 0);
    for (unsigned i = 0; i < 3; ++i) {
      const auto out = poisoned<double>(64);
      const auto launch = poisoned<unsigned>(1);
      run(kernel, {.block = {64}}, out, launch);
      EXPECT_EQ(launch.values()[0], 100 + i);
      const int primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
      const double pairs[] = {-1 * 1e10, 7 * 0.5}, weights[] = {1.5, -2.5, 3.5, 0};
      std::vector<double> expected;
      for (int thread = 0; thread < 64; ++thread) {
        expected.push_back(primes[thread % 8] + pairs[thread % 2] + weights[thread % 4] +
                           "fms"[thread % 3] + scratch[thread]);
        scratch[thread] += thread;
      }
      scratch[5] += 1000;
      EXPECT_TRUE(same(out.values(), expected)) << i;
    }
  }
}

TEST_P(LanguageConformanceTest, VectorTypesAreLoadedStoredAndTakenApart) {
  constexpr int kCount = 77;
  struct UChar4 {
    unsigned char x, y, z, w;
  };
  const auto numbers = random_integers<float>(4 * kCount, -1000, 1000);
  const auto bytes = random_integers<unsigned char>(4 * kCount, 0, 255);
  const auto pairs = poisoned<int>(2 * kCount);
  const auto sums = poisoned<double>(2 * kCount);
  const auto triples = poisoned<unsigned short>(3 * kCount);
  const auto wide = poisoned<long long>(2 * kCount);
  run(kernel("vectors"), covering(kCount, 32), array(numbers), array(bytes), pairs, sums, triples,
      wide, kCount);
  std::vector<int> expected_pairs;
  std::vector<double> expected_sums;
  std::vector<unsigned short> expected_triples;
  std::vector<long long> expected_wide;
  for (int i = 0; i < kCount; ++i) {
    const float* v = &numbers[4 * i];
    const unsigned char* b = &bytes[4 * i];
    expected_pairs.insert(expected_pairs.end(), {b[0] + b[1], b[2] - b[3]});
    expected_sums.insert(expected_sums.end(), {double{v[0]} + v[1], double{v[3]} + v[2]});
    for (const int value : {+b[0], b[1] * b[2], 65535 - b[3]}) {
      expected_triples.push_back(static_cast<unsigned short>(value));
    }
    expected_wide.insert(expected_wide.end(), {static_cast<long long>(v[0]), -b[1]});
  }
  EXPECT_TRUE(same(pairs.values(), expected_pairs));
  EXPECT_TRUE(same(sums.values(), expected_sums));
  EXPECT_TRUE(same(triples.values(), expected_triples));
  EXPECT_TRUE(same(wide.values(), expected_wide));
}

TEST_P(LanguageConformanceTest, ClocksGoForwardWhileAThreadWorks) {
  const auto elapsed = poisoned<long long>(40);
  const auto value = poisoned<unsigned>(40);
  run(kernel("clocks"), {.block = {40}}, elapsed, value);
  for (const long long cycles : elapsed.values()) EXPECT_GT(cycles, 0);
}

// What is written to standard output while `action` runs.
template <typename Action>
std::string output_of(Action action) {
  std::fflush(stdout);
  std::FILE* file = std::tmpfile();
  const int terminal = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  action();
  std::fflush(stdout);
  dup2(terminal, STDOUT_FILENO);
  close(terminal);
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

TEST_P(LanguageConformanceTest, ThreadsPrintLinesThatAreThereAfterSynchronising) {
  const Kernel prints = kernel("prints");
  const std::string text = output_of([&] {
    run(prints, {.grid = {2}, .block = {5}}, 3, -2.125, static_cast<const char*>(nullptr));
  });
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    lines.push_back(text.substr(start, end - start));
    if (end == std::string::npos) break;
    start = end + 1;
  }
  std::vector<std::string> expected;
  for (const char* block : {"0", "1"}) {
    for (const char* thread : {"0", "2", "4"}) {
      expected.push_back("thread " + std::string(thread) + " of block " + block +
                         ": -2.12|null|d|0369d035|-1099511627779|%");
    }
  }
  std::ranges::sort(lines);
  std::ranges::sort(expected);
  EXPECT_EQ(lines, expected);
}

FMS_ON_EVERY_TARGET(LanguageConformanceTest);

}  // namespace
}  // namespace fms
