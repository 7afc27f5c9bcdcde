#include "runtime/ops/block_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "runtime/ops/attention_arguments.h"
#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_plan.h"

namespace fms::attention {
namespace {

constexpr int kThreads = 128;

std::unexpected<Error> invalid(std::string_view reason) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("can't make a block table: {}", reason));
}

int tiles_of(int length, int block) { return (length + block - 1) / block; }

Result<Specialization> specialization_for(const Problem& problem, const BlockTableShape& shape) {
  FMS_TRY(auto kernel_template, template_with(problem.mods.get(), "attention_block_table"));
  const Specialization::NamedValue values[] = {
      {"kMask", Value::choice(static_cast<int>(problem.mask))},
      {"kPacked", Value::boolean(problem.packed)},
      {"kBlockM", Value::integer(shape.block_m)},
      {"kBlockN", Value::integer(shape.block_n)},
      {"kFromLast", Value::boolean(shape.from_last)},
      {"kThreads", Value::integer(kThreads)},
  };
  return Specialization::make(std::move(kernel_template), values);
}

}  // namespace

Result<BlockTableShape> block_table_shape(const Jit& jit, const Device& device,
                                          const Problem& problem, const Arguments& arguments,
                                          const BlockTableOptions& options) {
  if (problem.mods == nullptr)
    return invalid("the problem has no mods, whose mask it is made from");
  Problem with = problem;
  with.block_table = true;
  FMS_TRY_VOID(check(with));
  // All but the table itself must be right.
  Problem without = problem;
  without.block_table = false;
  Arguments given = arguments;
  given.block_table = {};
  FMS_TRY(const Access access, check_arguments(without, given));
  FMS_TRY(const ForwardPlan plan, plan_with(with, room_for(jit, device), access));
  const BlockTableShape shape{.tiles_q = tiles_of(problem.seq_q, plan.block_m),
                              .tiles_k = std::max(tiles_of(problem.seq_k, plan.block_n), 1),
                              .batch = options.per_batch || problem.packed ? problem.batch : 1,
                              .heads = options.per_head ? problem.heads : 1,
                              .block_m = plan.block_m,
                              .block_n = plan.block_n,
                              .from_last = plan.from_last,
                              .seq_q = problem.seq_q,
                              .seq_k = problem.seq_k};
  if (shape.rows() > std::numeric_limits<std::int32_t>::max()) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't make a block table of {} rows, more than the {} of a grid; "
                            "split the batch",
                            shape.rows(), std::numeric_limits<std::int32_t>::max()));
  }
  return shape;
}

BlockTableView view_of(const BlockTableShape& shape, void* memory) {
  auto* const counts = static_cast<std::int32_t*>(memory);
  return {.counts = counts,
          .tiles = counts + shape.rows(),
          .batch_stride = shape.batch == 1 ? 0 : std::int64_t{shape.heads} * shape.tiles_q,
          .head_stride = shape.heads == 1 ? 0 : shape.tiles_q,
          .width = shape.tiles_k,
          .block_m = shape.block_m,
          .block_n = shape.block_n,
          .seq_q = shape.seq_q,
          .seq_k = shape.seq_k};
}

Result<BlockTableView> fill_block_table(Jit& jit, const std::shared_ptr<Device>& device,
                                        StreamView stream, const Problem& problem,
                                        const Arguments& arguments, const BlockTableShape& shape,
                                        void* memory, const GetOptions& options) {
  if (problem.mods == nullptr)
    return invalid("the problem has no mods, whose mask it is made from");
  const BlockTableView view = view_of(shape, memory);
  if (shape.rows() == 0) return view;
  FMS_TRY(const Specialization specialization, specialization_for(problem, shape));
  GetOptions how = options;
  how.stream = stream;
  how.record = false;  // a manifest's line of the attention stands for it
  FMS_TRY(const Kernel kernel, jit.get(specialization, device, how));
  const DeviceOptions device_side = device_options(problem, arguments);
  const std::int64_t width = shape.tiles_k;
  const auto of = [](const auto& value) {
    return Argument{&value, static_cast<std::uint32_t>(sizeof value)};
  };
  const std::array list{of(view.counts),
                        of(view.tiles),
                        of(width),
                        of(device_side),
                        of(shape.heads),
                        of(shape.tiles_q),
                        of(problem.seq_q),
                        of(problem.seq_k),
                        Argument{arguments.mods, static_cast<std::uint32_t>(arguments.mods_bytes)}};
  FMS_TRY_VOID(launch(
      stream, {.grid = {.x = static_cast<std::uint32_t>(shape.rows())}, .block = {.x = kThreads}},
      kernel, std::span<const Argument>(list)));
  return view;
}

Result<BlockTable> make_block_table(Jit& jit, const std::shared_ptr<Device>& device,
                                    StreamView stream, const Problem& problem,
                                    const Arguments& arguments, const BlockTableOptions& options,
                                    std::optional<BlockTable> reused) {
  FMS_TRY(const BlockTableShape shape,
          block_table_shape(jit, *device, problem, arguments, options));
  std::optional<DeviceBuffer> memory;
  if (reused && reused->memory_.size() >= shape.bytes()) memory = std::move(reused->memory_);
  if (!memory) {
    FMS_TRY(memory, DeviceBuffer::allocate(device, shape.bytes()));
  }
  FMS_TRY(const BlockTableView view,
          fill_block_table(jit, device, stream, problem, arguments, shape, memory->data()));
  return BlockTable(*std::move(memory), shape, view);
}

Result<Specialization> block_table_specialization(const Problem& problem, const Target& target) {
  FMS_TRY(const ForwardPlan plan, plan_with(problem, room_of(target), Access::kBulk));
  return specialization_for(
      problem, {.block_m = plan.block_m, .block_n = plan.block_n, .from_last = plan.from_last});
}

}  // namespace fms::attention
