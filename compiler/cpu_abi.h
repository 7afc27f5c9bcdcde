#pragma once

#include <cstddef>
#include <cstdint>

// What object code for a CPU target and the runtime that runs it agree on: plain data, at fixed
// offsets, since the compiler writes it as IR. A change here raises kAbiVersion, which is in the
// fingerprint of the compiler and so in every key.
//
// A kernel is cut into regions at the points where its threads wait for each other, or where a loop
// begins again. Between two such points the threads of a block are independent: the code of a
// region runs a row of threads, several at a time by vector instructions. What a thread has to
// remember from one region to the next lies in the frame of its warp, all lanes of a value side by
// side.
namespace fms::cpu {

inline constexpr std::uint32_t kAbiVersion = 1;
inline constexpr std::uint32_t kWarpSize = 32;

// One block while it runs.
struct Block {
  const std::byte* arguments = nullptr;  // the parameter block, laid out as Resources::parameters
  std::byte* shared = nullptr;           // static shared memory, then dynamic; 1024-byte aligned
  std::uint32_t grid_dim[3] = {1, 1, 1};
  std::uint32_t block_dim[3] = {1, 1, 1};
  std::uint32_t block_index[3] = {0, 0, 0};
  std::uint32_t dynamic_smem_bytes = 0;
  std::uint32_t thread = 0;  // linear index of the one that runs; kept only by checked code
  std::uint32_t pad = 0;
  void* run = nullptr;  // the runtime's own
};
static_assert(offsetof(Block, grid_dim) == 16 && offsetof(Block, block_dim) == 28 &&
              offsetof(Block, block_index) == 40 && offsetof(Block, dynamic_smem_bytes) == 52 &&
              offsetof(Block, thread) == 56 && sizeof(Block) == 72);

// One warp while its block runs, by lane.
struct alignas(64) Warp {
  std::uint32_t state[kWarpSize] = {};  // where the lane goes on; Kernel::state_count: it has ended
  std::uint64_t value[kWarpSize] = {};  // what it offers to, and then has from, an operation
  std::uint32_t source[kWarpSize] = {};  // the lane that a shuffle reads
  std::uint32_t mask[kWarpSize] = {};    // the lanes that take part
  std::byte* frame = nullptr;            // Kernel::frame_bytes, 64-byte aligned
  std::uint32_t first_thread = 0;        // linear index of lane 0
};
static_assert(offsetof(Warp, value) == 128 && offsetof(Warp, source) == 384 &&
              offsetof(Warp, mask) == 512 && offsetof(Warp, frame) == 640 &&
              offsetof(Warp, first_thread) == 648);

// What has to happen before a thread may go on from a state.
enum class Wait : std::uint32_t {
  kNothing,   // the start, or a loop's next round: other threads are let through first
  kWarp,      // all lanes of the thread's mask have come to the same state
  kConverge,  // no other lane of the warp can go on without it: __activemask()
  kBlock,     // all threads of the block that haven't ended have come to the same state
};

// What is done to Warp::value once all are there.
enum class Operation : std::uint32_t {
  kNone = 0,        // a barrier
  kShuffle = 1,     // value = value of lane `source`
  kBallot = 2,      // bit l: lane l takes part and its value isn't 0
  kActiveMask = 3,  // bit l: lane l is there
  kMatchAny = 4,    // bit l: lane l takes part and has the same value
  kMatchAll = 5,    // the mask if all values are the same, else 0
  kAdd = 6,         // of the lanes that take part, as 32-bit unsigned, wrapping
  kMinUnsigned = 7,
  kMaxUnsigned = 8,
  kMinSigned = 9,
  kMaxSigned = 10,
  kAnd = 11,
  kOr = 12,
  kXor = 13,
  kBlockCount = 14,  // of the whole block: how many values aren't 0
  kBlockAnd = 15,    // 1 if none is 0
  kBlockOr = 16,     // 1 if one isn't 0
};

// Runs `count` lanes from `lane` on, neighbours along x, of which the first is thread (x, y, z),
// from one state to the next. The states they come to are written to warp->state, unless the state
// has but one successor. REQUIRES: if count > 1, the lanes' values of State::uniform are equal.
using Region = void (*)(Block* block, Warp* warp, std::uint32_t lane, std::uint32_t count,
                        std::uint32_t x, std::uint32_t y, std::uint32_t z);

// A value in the frame: `size` bytes of lane l at offset + l * size.
struct Slot {
  std::uint32_t offset = 0, size = 0;
};

inline constexpr std::uint32_t kManySuccessors = 0xffff'ffff;

// A point at which threads wait, and the region that follows it. State 0 is the kernel's start.
struct State {
  Region run = nullptr;
  Wait wait = Wait::kNothing;
  Operation operation = Operation::kNone;
  std::uint32_t next = kManySuccessors;  // the only state that can follow; state_count: the end
  std::uint32_t uniform_count = 0;
  const Slot* uniform = nullptr;  // values that the region takes from its first lane for all
  const char* file = nullptr;     // where it stands in the source; null: not known
  std::uint32_t line = 0;
  std::uint32_t pad = 0;
};
static_assert(sizeof(State) == 48);

// What checked code (JitOptions::sanitize) says of one access to memory, once for each place in the
// source.
enum Access : std::uint32_t {
  kAccessWrite = 1,
  kAccessAtomic = 2,    // reads and writes at once, and orders what threads do
  kAccessVolatile = 4,  // a thread may see what another has written
  kAccessPrivate = 8,   // of the thread's own memory
  kAccessShared = 16,   // of the block's; neither: not known, or global
  kCheckAddress = 32,
  kCheckRace = 64,
};

struct AccessSite {
  const char* file = nullptr;  // null: not known
  std::uint32_t line = 0;
  std::uint32_t flags = 0;         // of enum Access
  const char* object = nullptr;    // the variable that is accessed; null: not known
  std::uint64_t object_bytes = 0;  // its size; 0: not known
};
static_assert(sizeof(AccessSite) == 32);

// What checked code calls before each access, with the address of the variable if that is known:
//   void fms_cpu_access(const void* address, std::uint64_t bytes, const AccessSite* site,
//                       const void* object);
// and where clang's undefined-behaviour checks fail: the functions __ubsan_handle_*, whose first
// argument begins with file, line and column (char*, u32, u32).

// A variable of an image: __device__ or __constant__.
struct ImageVariable {
  const char* name = nullptr;
  const void* address = nullptr;
  std::uint64_t bytes = 0;
};

// The symbol fms_kernel_ENTRY of an object. A kernel with no frame has one state, and its region
// may be given a whole row of a block at once, with a null warp.
struct Kernel {
  std::uint32_t abi_version = kAbiVersion;
  std::uint32_t state_count = 0;
  const State* states = nullptr;
  std::uint64_t frame_bytes = 0;  // of a warp
  std::uint32_t static_smem_bytes = 0;
  std::uint32_t checked = 0;  // 1: reports what it does to memory; its lanes run one at a time
  const ImageVariable* variables = nullptr;  // of the image, in checked code
  std::uint64_t variable_count = 0;
};
static_assert(sizeof(Kernel) == 48);

}  // namespace fms::cpu
