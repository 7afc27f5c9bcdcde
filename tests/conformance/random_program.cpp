#include "tests/conformance/random_program.h"

#include <random>

namespace fms {
namespace {

using Kind = Statement::Kind;

constexpr int kDeepest = 4;
constexpr int kMostStatements = 60;

// Chooses statements that their scope allows.
class Generator {
 public:
  // Every second program indexes its variables at run time, so that they can't be registers.
  explicit Generator(unsigned seed) : bits_(seed), indexes_(seed % 2 == 0) {}

  std::vector<Statement> list(Scope scope, int depth, bool in_loop, int most) {
    std::vector<Statement> statements;
    const int count = 1 + static_cast<int>(below(most));
    for (int i = 0; i < count && made_ < kMostStatements; ++i) {
      statements.push_back(statement(scope, depth, in_loop));
    }
    return statements;
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(bits_() % n); }

  Operand variable() {
    return {indexes_ && below(6) == 0 ? Operand::Kind::kIndexed : Operand::Kind::kVariable,
            below(4)};
  }
  Operand operand() {
    switch (below(8)) {
      case 0:
        return {Operand::Kind::kConstant, static_cast<std::uint32_t>(bits_()) % 1000};
      case 1:
        return {Operand::Kind::kThread};
      case 2:
        return {Operand::Kind::kBlock};
      case 3:
        if (!counters_.empty())
          return {Operand::Kind::kCounter, counters_[below(counters_.size())]};
        [[fallthrough]];
      default:
        return variable();
    }
  }

  Kind choose(Scope scope, int depth, bool in_loop) {
    std::vector<Kind> kinds{Kind::kAssign, Kind::kAssign, Kind::kAddToBin};
    if (scope != Scope::kThread) {
      kinds.insert(kinds.end(), {Kind::kShuffle, Kind::kShuffle, Kind::kCountLanes,
                                 Kind::kCountEqual, Kind::kWarpExchange});
    }
    if (scope == Scope::kBlock) {
      kinds.insert(kinds.end(), {Kind::kBlockExchange, Kind::kBlockExchange, Kind::kCountThreads});
    }
    if (in_loop && scope == Scope::kThread) {
      kinds.insert(kinds.end(), {Kind::kBreak, Kind::kContinue});
    }
    if (in_loop && scope == Scope::kBlock) kinds.push_back(Kind::kBlockBreak);
    if (depth < kDeepest) {
      kinds.insert(kinds.end(), {Kind::kThreadIf, Kind::kThreadLoop});
      if (scope != Scope::kThread) {
        kinds.insert(kinds.end(), {Kind::kWarpIf, Kind::kWarpIf, Kind::kWarpLoop});
      }
      if (scope == Scope::kBlock) {
        kinds.insert(kinds.end(), {Kind::kBlockIf, Kind::kBlockLoop, Kind::kBlockLoop});
      }
    }
    return kinds[below(kinds.size())];
  }

  Statement statement(Scope scope, int depth, bool in_loop) {
    ++made_;
    Statement made{.kind = choose(scope, depth, in_loop),
                   .target = variable(),
                   .a = operand(),
                   .b = operand(),
                   .number = static_cast<std::uint32_t>(bits_()) % 64,
                   .depth = depth};
    switch (made.kind) {
      case Kind::kBlockIf:
        made.body = list(Scope::kBlock, depth + 1, in_loop, 3);
        made.otherwise = list(Scope::kBlock, depth + 1, in_loop, 2);
        break;
      case Kind::kWarpIf:
        made.body = list(Scope::kWarp, depth + 1, false, 3);
        made.otherwise = list(Scope::kWarp, depth + 1, false, 2);
        break;
      case Kind::kThreadIf: {
        const bool in_thread_loop = in_loop && scope == Scope::kThread;
        made.body = list(Scope::kThread, depth + 1, in_thread_loop, 3);
        made.otherwise = list(Scope::kThread, depth + 1, in_thread_loop, 2);
        break;
      }
      case Kind::kBlockLoop:
      case Kind::kWarpLoop:
      case Kind::kThreadLoop: {
        const bool of_thread = made.kind == Kind::kThreadLoop;
        counters_.push_back(static_cast<std::uint32_t>(depth));
        const bool of_warp = made.kind == Kind::kWarpLoop;
        const Scope inner = of_thread ? Scope::kThread : of_warp ? Scope::kWarp : Scope::kBlock;
        made.body = list(inner, depth + 1, !of_warp, 4);
        counters_.pop_back();
        break;
      }
      default:
        break;
    }
    return made;
  }

  std::mt19937_64 bits_;
  bool indexes_;
  std::vector<std::uint32_t> counters_;  // depths of the loops around
  int made_ = 0;
};

}  // namespace

RandomProgram::RandomProgram(unsigned seed)
    : is_wide_(seed % 4 >= 2), statements_(Generator(seed).list(Scope::kBlock, 0, false, 12)) {}

}  // namespace fms
