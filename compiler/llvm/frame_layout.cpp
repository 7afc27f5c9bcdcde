#include "compiler/llvm/frame_layout.h"

#include <llvm/IR/Module.h>

#include <algorithm>

#include "compiler/cpu_abi.h"

namespace fms::cpu {
namespace {

constexpr std::uint64_t kCacheLine = 64;

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

// A part of the frame that several variables use, at different cut points.
struct SharedPlace {
  std::uint64_t offset, size;
  llvm::BitVector taken;  // by cut point
};

}  // namespace

FrameLayout::FrameLayout(const CutFunction& cut, const Liveness& liveness)
    : is_needed_(cut.points.size() > 1 || !cut.privates.empty()) {
  if (!is_needed_) return;
  place_variables(cut, liveness);
  place_privates(cut);
  bytes_ = std::max(round_up(bytes_, kCacheLine), kCacheLine);
}

// Variables that are never both kept at one cut point share their place: a frame that fits the
// first-level cache is worth more than anything else here.
void FrameLayout::place_variables(const CutFunction& cut, const Liveness& liveness) {
  const llvm::DataLayout& layout = cut.function->getParent()->getDataLayout();
  const auto points = static_cast<unsigned>(cut.points.size());
  offsets_.resize(cut.variables.size());
  std::vector<SharedPlace> places;
  for (unsigned i = 0; i < cut.variables.size(); ++i) {
    const std::uint64_t size = layout.getTypeAllocSize(cut.variables[i].memory->getAllocatedType());
    sizes_.push_back(size);
    llvm::BitVector where(points);
    for (unsigned point = 1; point < points; ++point) {
      if (liveness.live_in(cut.points[point].continuation).test(i)) where.set(point);
    }
    if (where.none()) continue;
    auto place = std::ranges::find_if(places, [&](const SharedPlace& each) {
      return each.size == size && !each.taken.anyCommon(where);
    });
    if (place == places.end()) {
      places.push_back({bytes_, size, llvm::BitVector(points)});
      place = std::prev(places.end());
      bytes_ = round_up(bytes_ + size * kWarpSize, kCacheLine);
    }
    place->taken |= where;
    offsets_[i] = place->offset;
  }
}

void FrameLayout::place_privates(const CutFunction& cut) {
  const llvm::DataLayout& layout = cut.function->getParent()->getDataLayout();
  std::uint64_t align = 16;
  for (const llvm::AllocaInst* memory : cut.privates) {
    const std::uint64_t own = memory->getAlign().value();
    align = std::max(align, own);
    private_stride_ = round_up(private_stride_, own);
    privates_.push_back(private_stride_);
    private_stride_ += memory->getAllocationSize(layout)->getFixedValue();
  }
  private_stride_ = round_up(private_stride_, align);
  private_base_ = round_up(bytes_, align);
  if (!cut.privates.empty()) bytes_ = private_base_ + private_stride_ * kWarpSize;
}

}  // namespace fms::cpu
