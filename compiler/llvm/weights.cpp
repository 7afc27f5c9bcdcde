#include "compiler/llvm/weights.h"

#include <llvm/ADT/PostOrderIterator.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/PostDominators.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/Dominators.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>

#include <map>
#include <set>

#include "compiler/llvm/launch_sample.h"
#include "compiler/llvm/source_place.h"

namespace fms::cpu {
namespace {

using llvm::BasicBlock;
using llvm::Loop;
using llvm::SCEV;

// What stands in the way of telling how often a loop runs from the place of a thread.
struct Unknowns {
  PlaceValues& values;
  bool values_known = true;  // all are computed from places that are known
  bool only_indices = true;  // no more is missing than where the thread is

  bool follow(const SCEV* part) {
    const auto* unknown = llvm::dyn_cast<llvm::SCEVUnknown>(part);
    if (unknown == nullptr) return true;
    values_known = values_known && values.known(unknown->getValue());
    const auto place = place_of(unknown->getValue());
    only_indices = only_indices && place && *place <= Place::kBlockZ;
    return true;
  }
  bool isDone() const { return false; }
};

// An expression at one thread; what an outer loop counts, in the middle of its rounds.
class AtThread : public llvm::SCEVRewriteVisitor<AtThread> {
 public:
  AtThread(llvm::ScalarEvolution& evolution, PlaceValues& values,
           const llvm::DenseMap<const Loop*, double>& trips)
      : SCEVRewriteVisitor(evolution), values_(values), trips_(trips) {}

  const SCEV* visitUnknown(const llvm::SCEVUnknown* unknown) {
    llvm::Constant* value =
        values_.known(unknown->getValue()) ? values_.at(unknown->getValue()) : nullptr;
    auto* number = llvm::dyn_cast_or_null<llvm::ConstantInt>(value);
    return number != nullptr ? SE.getConstant(number) : unknown;
  }
  const SCEV* visitAddRecExpr(const llvm::SCEVAddRecExpr* counter) {
    const auto trips = trips_.find(counter->getLoop());
    const double rounds = trips != trips_.end() ? trips->second : 1;
    const SCEV* round = SE.getConstant(counter->getType()->isIntegerTy()
                                           ? counter->getType()
                                           : SE.getEffectiveSCEVType(counter->getType()),
                                       static_cast<std::uint64_t>(std::max(rounds - 1, 0.0) / 2));
    return visit(counter->evaluateAtIteration(round, SE));
  }

 private:
  PlaceValues& values_;
  const llvm::DenseMap<const Loop*, double>& trips_;
};

// What decides the way of a thread: of conditions the successor taken, of loops the trips; negative
// where that isn't known.
using Decisions = std::vector<double>;

class Weigher {
 public:
  Weigher(llvm::Function& thread, llvm::TargetMachine& machine, const ProfileOptions& options)
      : thread_(thread),
        options_(options),
        library_facts_(machine.getTargetTriple()),
        library_(library_facts_),
        assumptions_(thread),
        dominators_(thread),
        joins_(thread),
        loops_(dominators_),
        evolution_(thread, library_, assumptions_, dominators_, loops_),
        values_(thread, options) {}

  Weights run() {
    find_conditions();
    find_loops();
    std::map<Decisions, double> ways;
    double threads = 0;
    for (const SampleThread& sample : sample_threads(options_, values_.places())) {
      values_.go_to(sample);
      ways[decide()] += sample.weight;
      threads += sample.weight;
    }
    for (const auto& [decisions, weight] : ways) flow(decisions, weight);
    // Divided last: sums of whole numbers are exact.
    for (auto& [block, weight] : result_.of) weight /= threads;
    finish_loops();
    return std::move(result_);
  }

 private:
  struct LoopFacts {
    const Loop* loop = nullptr;
    const SCEV* rounds = nullptr;  // after the first; null: nothing is known
    bool from_places = false;      // rounds can be computed for each thread
    bool asks_first = false;       // its head, which decides, runs once more than the rest
    double fixed = -1;             // trips; negative: not known
    double assumed = 1;
    std::vector<std::pair<const BasicBlock*, const BasicBlock*>> exits;  // the nearest ones
    double entries = 0, total_trips = 0, unknown_entries = 0;
  };

  void find_conditions() {
    for (BasicBlock& block : thread_) {
      const llvm::Instruction* last = block.getTerminator();
      llvm::Value* condition = nullptr;
      if (const auto* branch = llvm::dyn_cast<llvm::BranchInst>(last)) {
        condition = branch->isConditional() ? branch->getCondition() : nullptr;
      } else if (const auto* choice = llvm::dyn_cast<llvm::SwitchInst>(last)) {
        condition = choice->getCondition();
      }
      if (condition == nullptr || stays_or_leaves(block) || !values_.known(condition)) continue;
      condition_at_[&block] = conditions_.size();
      conditions_.push_back(&block);
    }
  }

  // True of a condition about a loop's next round.
  bool stays_or_leaves(const BasicBlock& block) const {
    const Loop* loop = loops_.getLoopFor(&block);
    if (loop == nullptr) return false;
    for (const BasicBlock* next : llvm::successors(&block)) {
      if (!loop->contains(next) || next == loop->getHeader()) return true;
    }
    return false;
  }

  void find_loops() {
    for (const Loop* loop : loops_.getLoopsInPreorder()) {
      LoopFacts facts{.loop = loop, .assumed = options_.assumed_trips};
      const SCEV* rounds = evolution_.getBackedgeTakenCount(loop);
      if (!llvm::isa<llvm::SCEVCouldNotCompute>(rounds)) facts.rounds = rounds;
      const BasicBlock* head = loop->getHeader();
      facts.asks_first = loop->getExitingBlock() == head && !loop->isLoopLatch(head);
      const double most =
          double(evolution_.getSmallConstantMaxTripCount(loop)) - (facts.asks_first ? 1 : 0);
      if (facts.rounds != nullptr) {
        Unknowns unknowns{values_};
        llvm::visitAll(facts.rounds, unknowns);
        facts.from_places = unknowns.values_known;
        if (!facts.from_places && unknowns.only_indices && most > 0) facts.fixed = most;
      }
      if (most > 0) facts.assumed = std::min(facts.assumed, most);
      facts.exits = nearest_exits(*loop);
      facts_at_[loop] = facts_.size();
      facts_.push_back(std::move(facts));
    }
  }

  // The ways on after a loop; those out of an outer loop as well count only if there are no others.
  std::vector<std::pair<const BasicBlock*, const BasicBlock*>> nearest_exits(const Loop& loop) {
    llvm::SmallVector<Loop::Edge, 4> edges;
    loop.getExitEdges(edges);
    unsigned deepest = 0;
    for (const Loop::Edge& edge : edges) {
      deepest = std::max(deepest, loops_.getLoopDepth(edge.second));
    }
    std::vector<std::pair<const BasicBlock*, const BasicBlock*>> nearest;
    for (const Loop::Edge& edge : edges) {
      if (loops_.getLoopDepth(edge.second) == deepest) nearest.emplace_back(edge);
    }
    return nearest;
  }

  // Of the thread that values_ is at.
  Decisions decide() {
    Decisions decisions;
    for (BasicBlock* block : conditions_) decisions.push_back(successor_taken(*block));
    llvm::DenseMap<const Loop*, double> trips;
    for (const LoopFacts& facts : facts_) {
      double count = facts.fixed;
      if (facts.from_places) {
        AtThread at(evolution_, values_, trips);
        const auto* rounds = llvm::dyn_cast<llvm::SCEVConstant>(at.visit(facts.rounds));
        if (rounds != nullptr) {
          count = rounds->getAPInt().roundToDouble() + (facts.asks_first ? 0 : 1);
        }
      }
      trips[facts.loop] = count >= 0 ? count : facts.assumed;
      decisions.push_back(count);
    }
    return decisions;
  }

  double successor_taken(BasicBlock& block) {
    llvm::Instruction* last = block.getTerminator();
    if (auto* branch = llvm::dyn_cast<llvm::BranchInst>(last)) {
      auto* value = llvm::dyn_cast_or_null<llvm::ConstantInt>(values_.at(branch->getCondition()));
      return value != nullptr ? (value->isOne() ? 0 : 1) : -1;
    }
    auto* choice = llvm::cast<llvm::SwitchInst>(last);
    auto* value = llvm::dyn_cast_or_null<llvm::ConstantInt>(values_.at(choice->getCondition()));
    return value != nullptr ? choice->findCaseValue(value)->getSuccessorIndex() : -1;
  }

  // Adds what threads that decide so do. Blocks are taken in an order in which, but for the ways
  // back in loops, each comes after those that lead to it.
  void flow(const Decisions& decisions, double threads) {
    llvm::DenseMap<const BasicBlock*, double> come;
    come[&thread_.getEntryBlock()] = 1;
    llvm::DenseMap<const Loop*, double> entries;
    const llvm::ReversePostOrderTraversal<llvm::Function*> order(&thread_);
    for (BasicBlock* block : order) {
      double count = come.lookup(block);
      double extra = 0;
      const Loop* loop = loops_.getLoopFor(block);
      if (loop != nullptr && loop->getHeader() == block) {
        LoopFacts& facts = facts_[facts_at_[loop]];
        entries[loop] = count;
        const double known = decisions[conditions_.size() + facts_at_[loop]];
        const double trips = known >= 0 ? known : facts.assumed;
        facts.entries += threads * count;
        facts.total_trips += threads * count * trips;
        if (known < 0) facts.unknown_entries += threads * count;
        for (const auto& [from, to] : facts.exits) {
          come[to] += count / static_cast<double>(facts.exits.size());
        }
        if (facts.asks_first) extra = count;
        count *= trips;
      }
      result_.of[block] += threads * (count + extra);
      pass_on(*block, count, decisions, come);
    }
  }

  // True of what only prepares values for the next block, as before it where a loop is passed by.
  static bool is_idle(const BasicBlock& block) {
    if (block.getSingleSuccessor() == nullptr) return false;
    return llvm::none_of(block, [](const llvm::Instruction& instruction) {
      return instruction.mayReadOrWriteMemory() || instruction.getType()->isFPOrFPVectorTy();
    });
  }

  // From a block to those after it within the same loops. The ways out of a loop have got theirs at
  // its head.
  void pass_on(const BasicBlock& block, double count, const Decisions& decisions,
               llvm::DenseMap<const BasicBlock*, double>& come) const {
    const Loop* loop = loops_.getLoopFor(&block);
    std::vector<const BasicBlock*> inside;
    for (const BasicBlock* next : llvm::successors(&block)) {
      if (loop != nullptr && (!loop->contains(next) || next == loop->getHeader())) continue;
      inside.push_back(next);
    }
    if (inside.empty()) return;
    if (const auto known = condition_at_.find(&block); known != condition_at_.end()) {
      const double taken = decisions[known->second];
      if (taken >= 0) {
        come[block.getTerminator()->getSuccessor(static_cast<unsigned>(taken))] += count;
        return;
      }
    }
    // The ways that aren't just past a condition.
    std::vector<const BasicBlock*> sides;
    for (const BasicBlock* next : inside) {
      if (!joins_.dominates(next, &block) && !is_idle(*next)) sides.push_back(next);
    }
    if (sides.empty()) sides = {inside.front()};
    for (const BasicBlock* next : sides) come[next] += count / static_cast<double>(sides.size());
  }

  void finish_loops() {
    for (const LoopFacts& facts : facts_) {
      const SourcePlace place = place_in_source(facts.loop->getStartLoc());
      const bool entered = facts.entries > 0;
      result_.loops.push_back({.file = place.file,
                               .line = place.line,
                               .depth = static_cast<int>(facts.loop->getLoopDepth()),
                               .trips = entered ? facts.total_trips / facts.entries : 0,
                               .known = facts.unknown_entries == 0});
    }
  }

  llvm::Function& thread_;
  const ProfileOptions& options_;
  llvm::TargetLibraryInfoImpl library_facts_;
  llvm::TargetLibraryInfo library_;
  llvm::AssumptionCache assumptions_;
  llvm::DominatorTree dominators_;
  llvm::PostDominatorTree joins_;
  llvm::LoopInfo loops_;
  llvm::ScalarEvolution evolution_;
  PlaceValues values_;
  std::vector<BasicBlock*> conditions_;
  llvm::DenseMap<const BasicBlock*, std::size_t> condition_at_;
  std::vector<LoopFacts> facts_;
  llvm::DenseMap<const Loop*, std::size_t> facts_at_;
  Weights result_;
};

// The blocks from which a thread can come to its end.
std::set<BasicBlock*> find_live(llvm::Function& thread) {
  std::set<BasicBlock*> live;
  std::vector<BasicBlock*> next;
  for (BasicBlock& block : thread) {
    if (llvm::isa<llvm::ReturnInst>(block.getTerminator())) next.push_back(&block);
  }
  while (!next.empty()) {
    BasicBlock* block = next.back();
    next.pop_back();
    if (!live.insert(block).second) continue;
    next.insert(next.end(), llvm::pred_begin(block), llvm::pred_end(block));
  }
  return live;
}

void remove_traps(llvm::Function& thread) {
  const std::set<BasicBlock*> live = find_live(thread);
  if (!live.contains(&thread.getEntryBlock())) return;
  for (BasicBlock* block : live) {
    auto* branch = llvm::dyn_cast<llvm::BranchInst>(block->getTerminator());
    if (branch == nullptr || !branch->isConditional()) continue;
    for (const unsigned side : {0U, 1U}) {
      BasicBlock* end = branch->getSuccessor(side);
      if (live.contains(end)) continue;
      llvm::BranchInst::Create(branch->getSuccessor(1 - side), branch->getIterator());
      end->removePredecessor(block);
      branch->eraseFromParent();
      break;
    }
  }
  llvm::EliminateUnreachableBlocks(thread);
}

}  // namespace

Weights weigh(llvm::Function& thread, llvm::TargetMachine& machine, const ProfileOptions& options) {
  remove_traps(thread);
  return Weigher(thread, machine, options).run();
}

}  // namespace fms::cpu
