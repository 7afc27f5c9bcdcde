#include "compiler/llvm/launch_sample.h"

#include <llvm/Analysis/ConstantFolding.h>
#include <llvm/IR/InstrTypes.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>

#include <algorithm>

namespace fms::cpu {
namespace {

constexpr std::uint32_t kMostSamples = 1 << 14;

struct Point {
  std::uint32_t at = 0;
  double weight = 1;
};

// Places along one axis: all, or both ends, where kernels do something else, and some between.
// REQUIRES: most >= 3.
std::vector<Point> points(std::uint32_t extent, std::uint32_t most) {
  std::vector<Point> list;
  if (extent <= most) {
    for (std::uint32_t i = 0; i < extent; ++i) list.push_back({.at = i});
    return list;
  }
  list.push_back({.at = 0});
  const std::uint64_t length = extent - 2, parts = most - 2;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t begin = part * length / parts, end = (part + 1) * length / parts;
    list.push_back({.at = static_cast<std::uint32_t>(1 + (begin + end) / 2),
                    .weight = static_cast<double>(end - begin)});
  }
  list.push_back({.at = extent - 1});
  return list;
}

std::size_t axis_of(Place place) {
  switch (place) {
    case Place::kThreadX:
    case Place::kBlockX:
    case Place::kBlockDimX:
    case Place::kGridDimX:
      return 0;
    case Place::kThreadY:
    case Place::kBlockY:
    case Place::kBlockDimY:
    case Place::kGridDimY:
      return 1;
    default:
      return 2;
  }
}

bool is_thread_index(Place place) {
  return place == Place::kThreadX || place == Place::kThreadY || place == Place::kThreadZ;
}
bool is_block_index(Place place) {
  return place == Place::kBlockX || place == Place::kBlockY || place == Place::kBlockZ;
}

std::uint32_t extent(std::uint32_t length, bool used) {
  return used ? std::max<std::uint32_t>(length, 1) : 1;
}

}  // namespace

std::vector<SampleThread> sample_threads(const ProfileOptions& options,
                                         const std::vector<Place>& used) {
  std::array<bool, 3> threads{}, blocks{};
  for (const Place place : used) {
    if (place == Place::kThread) threads = {true, true, true};
    if (is_thread_index(place)) threads[axis_of(place)] = true;
    if (is_block_index(place)) blocks[axis_of(place)] = true;
  }
  const std::uint32_t in_block = extent(options.block[0], threads[0]) *
                                 extent(options.block[1], threads[1]) *
                                 extent(options.block[2], threads[2]);
  std::array<std::vector<Point>, 3> grid;
  std::uint32_t budget = std::max<std::uint32_t>(kMostSamples / std::max(in_block, 1U), 3);
  for (const std::size_t axis : {2, 1, 0}) {
    const std::uint32_t length = extent(options.grid[axis], blocks[axis]);
    // What the axes before it leave over is for those after.
    const std::uint32_t most = axis == 0 ? budget : std::min<std::uint32_t>(budget, 16);
    grid[axis] = points(length, most);
    budget = std::max<std::uint32_t>(budget / static_cast<std::uint32_t>(grid[axis].size()), 3);
  }
  std::vector<SampleThread> samples;
  for (const Point& z : grid[2]) {
    for (const Point& y : grid[1]) {
      for (const Point& x : grid[0]) {
        for (std::uint32_t t = 0; t < in_block; ++t) {
          const std::uint32_t width = extent(options.block[0], threads[0]);
          const std::uint32_t height = extent(options.block[1], threads[1]);
          samples.push_back({.thread = {t % width, t / width % height, t / width / height},
                             .block = {x.at, y.at, z.at},
                             .weight = x.weight * y.weight * z.weight});
        }
      }
    }
  }
  return samples;
}

PlaceValues::PlaceValues(const llvm::Function& thread, const ProfileOptions& options)
    : layout_(thread.getParent()->getDataLayout()), options_(options) {}

bool PlaceValues::has_place(Place place) const {
  if (is_thread_index(place) || place == Place::kThread) return options_.block[0] != 0;
  return is_block_index(place) && options_.grid[0] != 0;
}

std::optional<std::uint32_t> PlaceValues::place_value(Place place) const {
  if (!has_place(place)) return std::nullopt;
  if (place == Place::kThread) {
    return sample_.thread[0] +
           options_.block[0] * (sample_.thread[1] + options_.block[1] * sample_.thread[2]);
  }
  return is_thread_index(place) ? sample_.thread[axis_of(place)] : sample_.block[axis_of(place)];
}

bool PlaceValues::computable(llvm::Instruction& instruction) {
  if (const auto place = place_of(&instruction)) {
    if (!has_place(*place)) return false;
    if (std::ranges::find(places_, *place) == places_.end()) places_.push_back(*place);
    return true;
  }
  if (!instruction.getType()->isIntegerTy()) return false;
  const auto* intrinsic = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
  const bool folds = instruction.isBinaryOp() || llvm::isa<llvm::CastInst>(instruction) ||
                     llvm::isa<llvm::ICmpInst>(instruction) ||
                     llvm::isa<llvm::SelectInst>(instruction) ||
                     (intrinsic != nullptr &&
                      llvm::canConstantFoldCallTo(intrinsic, intrinsic->getCalledFunction()));
  if (!folds) return false;
  for (llvm::Value* operand : instruction.operands()) {
    if (llvm::isa<llvm::Function>(operand)) continue;  // what a call calls
    if (!operand->getType()->isIntegerTy() || !known(operand)) return false;
  }
  return true;
}

bool PlaceValues::known(llvm::Value* value) {
  if (llvm::isa<llvm::ConstantInt>(value)) return true;
  auto* instruction = llvm::dyn_cast<llvm::Instruction>(value);
  if (instruction == nullptr) return false;
  if (const auto found = known_.find(value); found != known_.end()) return found->second;
  known_[value] = false;  // while it is looked at: a cycle isn't known
  const bool result = computable(*instruction);
  known_[value] = result;
  return result;
}

void PlaceValues::go_to(const SampleThread& thread) {
  sample_ = thread;
  values_.clear();
}

llvm::Constant* PlaceValues::at(llvm::Value* value) {
  if (auto* constant = llvm::dyn_cast<llvm::Constant>(value)) return constant;
  if (const auto found = values_.find(value); found != values_.end()) return found->second;
  auto* instruction = llvm::cast<llvm::Instruction>(value);
  llvm::Constant* result = nullptr;
  if (const auto place = place_of(instruction)) {
    result = llvm::ConstantInt::get(instruction->getType(), *place_value(*place));
  } else {
    llvm::SmallVector<llvm::Constant*, 4> operands;
    for (llvm::Value* operand : instruction->operands()) operands.push_back(at(operand));
    if (std::ranges::find(operands, nullptr) != operands.end()) {
      result = nullptr;
    } else if (const auto* compare = llvm::dyn_cast<llvm::ICmpInst>(instruction)) {
      result = llvm::ConstantFoldCompareInstOperands(compare->getPredicate(), operands[0],
                                                     operands[1], layout_);
    } else {
      result = llvm::ConstantFoldInstOperands(instruction, operands, layout_);
    }
  }
  values_[value] = result;
  return result;
}

}  // namespace fms::cpu
