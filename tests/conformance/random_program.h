#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fms {

// Who runs a statement, and so what it may do: wait for the block, or for lanes whose mask is
// known, or nobody.
enum class Scope { kBlock, kWarp, kThread };

// One of a thread's four variables, or something that it can read.
struct Operand {
  enum class Kind { kVariable, kIndexed, kConstant, kThread, kBlock, kCounter };

  Kind kind = Kind::kConstant;
  std::uint32_t value = 0;  // which variable, or the one that says which; the constant; the depth
};

constexpr std::uint32_t kOperations = 8;  // of an assignment

struct Statement {
  enum class Kind {
    kAssign,         // target = a OP b
    kAddToBin,       // an atomic of shared memory
    kShuffle,        // target = a of another lane in the mask
    kCountLanes,     // target += how many lanes in the mask have an odd a
    kWarpExchange,   // target = a of another lane, through shared memory
    kBlockExchange,  // target = a of another thread, through shared memory
    kCountThreads,   // target += how many threads of the block have an odd a
    kCountEqual,     // target += how many lanes in the mask have an equal a, modulo 4
    kBlockIf,        // by the block's index
    kWarpIf,         // both sides know their masks
    kThreadIf,
    kBlockLoop,
    kWarpLoop,  // lanes leave after different numbers of rounds, and each round knows its mask
    kThreadLoop,
    kBreak,       // of the innermost kThreadLoop, if a is odd
    kContinue,    // the same
    kBlockBreak,  // of the innermost kBlockLoop, if any thread's a is odd
  };

  Kind kind = Kind::kAssign;
  Operand target, a, b;
  std::uint32_t number = 0;  // of the operation, lane, or rounds
  int depth = 0;             // names its counter or mask
  std::vector<Statement> body, otherwise;
};

// A kernel made at random: source text, and what it computes.
//
//   extern "C" __global__ void random_program(const unsigned* x, unsigned long long* out,
//                                             unsigned* bins)
//
// for blocks of any size in one dimension: x has an element for each thread, out four, bins has 16
// for each block. No two threads race but by atomics that commute.
class RandomProgram {
 public:
  explicit RandomProgram(unsigned seed);

  std::string source() const;

  // What is in out and bins afterwards.
  struct Result {
    std::vector<unsigned long long> out;
    std::vector<std::uint32_t> bins;
  };
  Result run(const std::vector<std::uint32_t>& x, unsigned blocks, unsigned block_size) const;

 private:
  bool is_wide_;  // variables have 64 bits, not 32
  std::vector<Statement> statements_;
};

}  // namespace fms
