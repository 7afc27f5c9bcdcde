#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/device_buffer.h"
#include "runtime/ops/attention.h"

namespace fms::attention {

// For which elements of a batch, and which heads, the mask function is asked.
struct BlockTableOptions {
  bool per_batch = true;  // false: it is the same for all; with packed sequences always true
  bool per_head = true;   // false: it is the same for all
};

// How large a table is, and what it is for.
struct BlockTableShape {
  int tiles_q = 0, tiles_k = 0;  // of a sequence
  int batch = 1, heads = 1;      // that have rows of their own
  int block_m = 0, block_n = 0;  // the tile of the kernel that is to use it
  bool from_last = false;        // the order in which that visits tiles of keys
  int seq_q = 0, seq_k = 0;

  std::int64_t rows() const { return std::int64_t{batch} * heads * tiles_q; }
  std::size_t bytes() const { return 4 * static_cast<std::size_t>(rows() * (1 + tiles_k)); }
};

// Of the table for a call of forward() with this problem (whose block_table may be false) and these
// arguments: what decides is the kernel that the arrays allow.
Result<BlockTableShape> block_table_shape(const Jit& jit, const Device& device,
                                          const Problem& problem, const Arguments& arguments,
                                          const BlockTableOptions& options = {});

// A table of that shape in device memory.
BlockTableView view_of(const BlockTableShape& shape, void* memory);

// Computes the table into `memory`, shape.bytes() of device memory, on `stream`: asks mods->mask of
// every pair of a query and a key, once. The memory is the caller's and outlives the table's uses.
//
// A table serves every call with the same lengths, mask, window, cu_seqlens and mods, whatever the
// arrays, scales, sinks and number of layers are, as long as the tile is the same one: forward()
// refuses a table for another tile or length. When what the mask function reads changes, it is to
// be filled anew.
Result<BlockTableView> fill_block_table(Jit& jit, const std::shared_ptr<Device>& device,
                                        StreamView stream, const Problem& problem,
                                        const Arguments& arguments, const BlockTableShape& shape,
                                        void* memory, const GetOptions& options = {});

// A table with device memory of its own.
class BlockTable {
 public:
  const BlockTableView& view() const { return view_; }
  const BlockTableShape& shape() const { return shape_; }
  const DeviceBuffer& memory() const { return memory_; }  // counts of the rows, then their tiles

 private:
  friend Result<BlockTable> make_block_table(Jit&, const std::shared_ptr<Device>&, StreamView,
                                             const Problem&, const Arguments&,
                                             const BlockTableOptions&, std::optional<BlockTable>);
  BlockTable(DeviceBuffer memory, const BlockTableShape& shape, const BlockTableView& view)
      : memory_(std::move(memory)), shape_(shape), view_(view) {}

  DeviceBuffer memory_;
  BlockTableShape shape_;
  BlockTableView view_;
};

// The two above. `reused` gives its memory, where that suffices: work that still reads it must be
// on the same stream.
Result<BlockTable> make_block_table(Jit& jit, const std::shared_ptr<Device>& device,
                                    StreamView stream, const Problem& problem,
                                    const Arguments& arguments,
                                    const BlockTableOptions& options = {},
                                    std::optional<BlockTable> reused = std::nullopt);

// The kernel that fills the table of a problem with one, for arrays that can be reached at best:
// for warming.
Result<Specialization> block_table_specialization(const Problem& problem, const Target& target);

}  // namespace fms::attention
