// What a random program computes: all threads of a block, statement by statement.

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <utility>

#include "tests/conformance/random_program.h"

namespace fms {
namespace {

using Kind = Statement::Kind;
using Threads = std::vector<unsigned>;  // of a block, in order

struct Thread {
  std::array<std::uint64_t, 4> v{};
  std::array<std::uint64_t, 8> counters{};  // by depth
  bool left_loop = false, left_round = false;
};

class BlockInterpreter {
 public:
  BlockInterpreter(unsigned block, bool is_wide, std::span<const std::uint32_t> x)
      : block_(block), bits_(is_wide ? ~std::uint64_t{0} : 0xffff'ffff) {
    for (unsigned i = 0; i < x.size(); ++i) {
      threads_.push_back({.v = {x[i], x[i] >> 7, i, block}});
      all_.push_back(i);
    }
    slots_.resize(x.size());
  }

  void run(const std::vector<Statement>& statements) { list(statements, all_); }

  // As the program ends: threads whose v[1] divides by 3 return before the last barrier.
  void append_to(RandomProgram::Result& result) {
    const auto stays = [](const Thread& thread) { return thread.v[1] % 3 != 0; };
    const auto odd = [&](const Thread& thread) { return stays(thread) && thread.v[3] % 2 != 0; };
    const auto count = static_cast<std::uint32_t>(std::ranges::count_if(threads_, odd));
    for (Thread& thread : threads_) {
      if (stays(thread)) thread.v[2] += count;  // in out, which always has 64 bits
      result.out.insert(result.out.end(), thread.v.begin(), thread.v.end());
    }
    result.bins.insert(result.bins.end(), bins_.begin(), bins_.end());
  }

 private:
  std::uint64_t read(const Operand& operand, unsigned i) const {
    const Thread& thread = threads_[i];
    switch (operand.kind) {
      case Operand::Kind::kVariable:
        return thread.v[operand.value];
      case Operand::Kind::kIndexed:
        return thread.v[thread.v[operand.value] % 4];
      case Operand::Kind::kConstant:
        return operand.value;
      case Operand::Kind::kThread:
        return i;
      case Operand::Kind::kBlock:
        return block_;
      case Operand::Kind::kCounter:
        return thread.counters[operand.value];
    }
    return 0;
  }

  std::uint64_t& target(const Statement& s, unsigned i) {
    auto& v = threads_[i].v;
    return v[s.target.kind == Operand::Kind::kIndexed ? v[s.target.value] % 4 : s.target.value];
  }

  std::uint64_t compute(const Statement& s, unsigned i) const {
    const std::uint64_t a = read(s.a, i), b = read(s.b, i);
    const std::array<std::uint64_t, kOperations> results{
        a + b,         a - b, a * (b | 1),     a ^ (b >> 3), a % (b % 97 + 1),
        a < b ? b : a, a & b, a << 5 | b >> 27};
    return results[s.number % kOperations];
  }

  // Those of `threads` that are in the warp of thread i, the one that has place n + lane among
  // them.
  static unsigned other(const Threads& threads, unsigned i, unsigned n) {
    Threads warp;
    std::ranges::copy_if(threads, std::back_inserter(warp),
                         [i](unsigned j) { return j / 32 == i / 32; });
    return warp[(i % 32 + n) % warp.size()];
  }

  // target = value(i) for all at once.
  template <typename Value>
  void assign(const Statement& s, const Threads& threads, Value value) {
    std::vector<std::uint64_t> values;
    for (const unsigned i : threads) values.push_back(value(i) & bits_);
    for (std::size_t j = 0; j < threads.size(); ++j) target(s, threads[j]) = values[j];
  }

  template <typename Predicate>
  static Threads those(const Threads& threads, Predicate predicate) {
    Threads result;
    std::ranges::copy_if(threads, std::back_inserter(result), predicate);
    return result;
  }

  void branch(const Statement& s, const Threads& threads, auto condition) {
    const Threads yes = those(threads, condition);
    const Threads no =
        those(threads, [&](unsigned i) { return std::ranges::find(yes, i) == yes.end(); });
    list(s.body, yes);
    list(s.otherwise, no);
  }

  // `rounds` has each thread's number of them.
  void loop(const Statement& s, const Threads& threads, std::vector<std::uint64_t> rounds) {
    for (std::uint64_t round = 0;; ++round) {
      Threads now;
      for (std::size_t j = 0; j < threads.size(); ++j) {
        Thread& thread = threads_[threads[j]];
        thread.counters[s.depth] = round;
        thread.left_round = false;
        if (round < rounds[j] && !thread.left_loop) now.push_back(threads[j]);
      }
      if (now.empty()) break;
      list(s.body, now);
    }
    for (const unsigned i : threads) threads_[i].left_loop = threads_[i].left_round = false;
  }

  void list(const std::vector<Statement>& statements, Threads threads) {
    for (const Statement& s : statements) {
      if (threads.empty()) return;
      execute(s, threads);
      threads = those(threads, [this](unsigned i) {
        return !threads_[i].left_loop && !threads_[i].left_round;
      });
    }
  }

  void execute(const Statement& s, const Threads& threads) {
    const auto a = [&](unsigned i) { return read(s.a, i); };
    const auto is_odd = [&](unsigned i) { return a(i) % 2 != 0; };
    switch (s.kind) {
      case Kind::kAssign:
        return assign(s, threads, [&](unsigned i) { return compute(s, i); });
      case Kind::kAddToBin:
        for (const unsigned i : threads)
          bins_[a(i) % 16] += static_cast<std::uint32_t>(read(s.b, i));
        return;
      case Kind::kShuffle:
      case Kind::kWarpExchange:
        if (s.kind == Kind::kWarpExchange) {
          for (const unsigned i : threads) slots_[i] = a(i);
        }
        return assign(s, threads, [&](unsigned i) { return a(other(threads, i, s.number)); });
      case Kind::kCountLanes:
      case Kind::kCountThreads: {
        const Threads odd = those(threads, is_odd);
        const bool of_warp = s.kind == Kind::kCountLanes;
        return assign(s, threads, [&](unsigned i) {
          const auto counts = [&](unsigned j) { return !of_warp || j / 32 == i / 32; };
          return target(s, i) + static_cast<std::uint32_t>(std::ranges::count_if(odd, counts));
        });
      }
      case Kind::kCountEqual:
        return assign(s, threads, [&](unsigned i) {
          const auto equals = [&](unsigned j) { return j / 32 == i / 32 && a(j) % 4 == a(i) % 4; };
          return target(s, i) + static_cast<std::uint64_t>(std::ranges::count_if(threads, equals));
        });
      case Kind::kBlockExchange:
        for (const unsigned i : threads) slots_[i] = a(i);
        return assign(s, threads,
                      [&](unsigned i) { return slots_[(i + s.number) % slots_.size()]; });
      case Kind::kBlockIf:
        return branch(s, threads, [&](unsigned) { return block_ % 4 > s.number % 3; });
      case Kind::kWarpIf:
        return branch(s, threads, [&](unsigned i) { return a(i) % 4 < s.number % 4; });
      case Kind::kThreadIf:
        return branch(s, threads, [&](unsigned i) { return a(i) % 3 == s.number % 3; });
      case Kind::kBlockLoop:
        return loop(s, threads,
                    std::vector<std::uint64_t>(threads.size(), block_ % 2 + s.number % 3));
      case Kind::kWarpLoop:
      case Kind::kThreadLoop: {
        std::vector<std::uint64_t> rounds;
        for (const unsigned i : threads)
          rounds.push_back(a(i) % (s.kind == Kind::kWarpLoop ? 4 : 5));
        return loop(s, threads, std::move(rounds));
      }
      case Kind::kBreak:
        for (const unsigned i : threads) threads_[i].left_loop = is_odd(i);
        return;
      case Kind::kContinue:
        for (const unsigned i : threads) threads_[i].left_round = is_odd(i);
        return;
      case Kind::kBlockBreak: {
        const bool any = std::ranges::any_of(threads, is_odd);
        for (const unsigned i : threads) threads_[i].left_loop = any;
        return;
      }
    }
  }

  unsigned block_;
  std::uint64_t bits_;  // that a variable has
  std::vector<Thread> threads_;
  Threads all_;
  std::vector<std::uint64_t> slots_;
  std::array<std::uint32_t, 16> bins_{};
};

}  // namespace

RandomProgram::Result RandomProgram::run(const std::vector<std::uint32_t>& x, unsigned blocks,
                                         unsigned block_size) const {
  Result result;
  for (unsigned block = 0; block < blocks; ++block) {
    BlockInterpreter interpreter(block, is_wide_,
                                 std::span(x).subspan(block * block_size, block_size));
    interpreter.run(statements_);
    interpreter.append_to(result);
  }
  return result;
}

}  // namespace fms
