// Programs made at random: branches, loops and waiting, nested in each other in every way that CUDA
// allows, against an interpreter.

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/conformance/conformance_fixture.h"
#include "tests/conformance/random_program.h"
#include "tests/sanitizers.h"

namespace fms {
namespace {

class RandomProgramConformanceTest : public ConformanceTest {};

// FMS_TEST_PROGRAMS=FIRST:COUNT runs others than the few of every day.
std::pair<unsigned, unsigned> programs() {
  const char* chosen = std::getenv("FMS_TEST_PROGRAMS");
  if (chosen == nullptr) return {1, kSanitized ? 4 : 16};
  const std::string text = chosen;
  const std::size_t colon = text.find(':');
  return {std::stoul(text), colon == std::string::npos ? 1 : std::stoul(text.substr(colon + 1))};
}

TEST_P(RandomProgramConformanceTest, RandomProgramsComputeWhatTheirInterpreterSays) {
  const auto [first, count] = programs();
  for (unsigned seed = first; seed < first + count; ++seed) {
    const RandomProgram program(seed);
    const auto parsed = KernelTemplate::parse("random_program.cu", program.source());
    const auto kernel =
        jit(Policy::kExact).get(Specialization::make(parsed.value(), {}).value(), device_);
    ASSERT_TRUE(kernel) << "program " << seed << ": " << kernel.error().message << "\n"
                        << program.source();
    for (const unsigned block : {1u, 32u, 45u, 96u}) {
      constexpr unsigned kBlocks = 6;
      const auto x = random_bits<std::uint32_t>(kBlocks * block, seed);
      const auto out = poisoned<unsigned long long>(4 * x.size());
      const auto bins = poisoned<std::uint32_t>(16 * kBlocks);
      const auto ran = try_run(*kernel, {.grid = {kBlocks}, .block = {block}}, array(x), out, bins);
      ASSERT_TRUE(ran) << "program " << seed << ": " << ran.error().message << "\n"
                       << program.source();
      const RandomProgram::Result expected = program.run(x, kBlocks, block);
      ASSERT_TRUE(same(out.values(), expected.out))
          << "program " << seed << ", blocks of " << block << "\n"
          << program.source();
      ASSERT_TRUE(same(bins.values(), expected.bins))
          << "program " << seed << ", blocks of " << block << "\n"
          << program.source();
    }
  }
}

FMS_ON_EVERY_TARGET(RandomProgramConformanceTest);

}  // namespace
}  // namespace fms
