#include "python/native/operators.h"

#include <fmt/format.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/optional.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "python/native/attention_arrays.h"
#include "python/native/attention_call.h"
#include "python/native/interrupt.h"
#include "python/native/session.h"
#include "python/native/signature.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/attention_mods.h"
#include "runtime/ops/block_table.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

// Functions of scores and masks that Python has made, by number. Kept as long as the process:
// they are few, and equal sources are one.
class KnownMods {
 public:
  static KnownMods& get() {
    static KnownMods& known = *new KnownMods;
    return known;
  }
  std::int64_t add(std::shared_ptr<const attention::Mods> mods) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i] == mods) return static_cast<std::int64_t>(i);
    }
    all_.push_back(std::move(mods));
    return static_cast<std::int64_t>(all_.size()) - 1;
  }
  std::shared_ptr<const attention::Mods> at(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    if (number < 0 || number >= static_cast<std::int64_t>(all_.size())) {
      throw_invalid(fmt::format("no mods have the number {}", number));
    }
    return all_[static_cast<std::size_t>(number)];
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<const attention::Mods>> all_;  // guarded by mutex_
};

// flashmoe_science.attention_mods: the number of functions of scores and masks. `kind` says what
// `name` is: "source" (of `text`), "file" (a path), "embedded" (`text` stands in front of it).
std::int64_t attention_mods(ffi::String kind, ffi::String name, ffi::String text) {
  const std::string given(name), source(text);
  auto made = kind == "file"       ? attention::Mods::read(std::filesystem::path(given))
              : kind == "embedded" ? attention::Mods::embedded(given, source)
                                   : attention::Mods::make(given, source);
  if (!made) throw_error(made.error());
  return KnownMods::get().add(*std::move(made));
}

// flashmoe_science.attention_mods_text: the file that declares the struct.
ffi::String attention_mods_text(std::int64_t number) {
  return ffi::String(KnownMods::get().at(number)->files()[0].text);
}

// -1 is the current one of the tensors' framework.
StreamView stream_of(DLDevice device, std::int64_t given) {
  if (given >= 0) return StreamView{reinterpret_cast<void*>(given)};
  return StreamView{device.device_type == kDLCUDA
                        ? TVMFFIEnvGetStream(device.device_type, device.device_id)
                        : nullptr};
}

// Runs work(jit, device, options) at once if its kernels are loaded or stored; else on another
// thread, where Ctrl-C ends their compile.
template <typename Work>
void run(DLDevice which, const Work& work) {
  const auto attempt = [&](const GetOptions& options) -> Result<void> {
    FMS_TRY(Jit jit, Session::get().jit());
    if (which.device_type == kDLCPU && Session::get().checks_addresses()) {
      return fail(ErrorCode::kUnsupported,
                  "attention on the CPU can't be computed with sanitize='address', since its "
                  "arrays aren't known to the checker; 'undefined' and 'thread' can");
    }
    FMS_TRY(const auto device, Session::get().device(which));
    return work(jit, device, options);
  };
  Result<void> done = attempt({.effort = Effort::kStored});
  if (!done && done.error().code == ErrorCode::kNotFound) {
    const PyGILState_STATE gil = PyGILState_Ensure();
    const bool finished =
        run_interruptible([&](const CancelToken& cancel) { done = attempt({.cancel = &cancel}); });
    PyGILState_Release(gil);
    if (!finished) throw ffi::EnvErrorAlreadySet();
  }
  if (!done) throw_error(done.error());
}

// `bytes` outlives the call.
void set_mods(Call& call, std::int64_t number, const ffi::Bytes& bytes) {
  if (number < 0) return;
  call.problem.mods = KnownMods::get().at(number);
  call.arguments.mods = bytes.data();
  call.arguments.mods_bytes = bytes.size();
}

using Optional = ffi::Optional<ffi::TensorView>;

// As attention_block_table() gives it.
attention::BlockTableShape shape_of(const ffi::Array<std::int64_t>& numbers) {
  if (numbers.size() != 10) throw_invalid("block_table_shape must have ten numbers");
  const auto at = [&](std::size_t i) { return static_cast<int>(numbers[i]); };
  return {.tiles_q = at(0),
          .tiles_k = at(1),
          .batch = at(2),
          .heads = at(3),
          .block_m = at(4),
          .block_n = at(5),
          .from_last = at(6) != 0,
          .seq_q = at(7),
          .seq_k = at(8)};
}

// flashmoe_science.attention_forward: writes softmax(scale * q k^T, masked) v to `out`.
//
// mask: 0 none, 1 causal aligned to the last key, 2 causal aligned to the first, 3 and 4 with a
// window.
void attention_forward(ffi::TensorView q, ffi::TensorView k, ffi::TensorView v, ffi::TensorView out,
                       Optional lse, double scale, int mask, ffi::String layout, ffi::String dtype,
                       std::int64_t stream) {
  Call call(q, k, v, mask, layout, dtype, /*packed=*/false);
  call.set_output(q, out, lse);
  call.arguments.scale = static_cast<float>(scale);
  if (call.is_empty()) return;
  const StreamView on = stream_of(call.device, stream);
  run(call.device, [&](Jit& jit, const std::shared_ptr<Device>& device, const GetOptions& options) {
    return attention::forward(jit, device, on, call.problem, call.arguments, options);
  });
}

// Of q's type as far as its size says, which is all that NumPy's bfloat16 has, or float32.
void check_bias(const ffi::TensorView& q, const ffi::TensorView& bias,
                const ffi::Array<std::int64_t>& strides, DType dtype) {
  const DLDataType type = bias.dtype();
  const bool alike = type.code == q.dtype().code && type.bits == q.dtype().bits;
  if (strides.size() != 4 || bias.device().device_type != q.device().device_type ||
      bias.device().device_id != q.device().device_id ||
      !(alike || NumberType{type.code, type.bits} == number_type_of(DType::kFloat32))) {
    throw_invalid(fmt::format("bias must be float32 or {}, with four strides, and on q's device",
                              to_string(dtype)));
  }
}

// A bias as functions of scores; `bytes` has their struct, and outlives the call.
Result<void> add_bias(const ffi::TensorView& bias, const ffi::Array<std::int64_t>& strides,
                      Call& call, std::vector<std::byte>& bytes) {
  const void* data = static_cast<std::byte*>(bias.data_ptr()) + bias.byte_offset();
  const std::int64_t in_order[] = {strides[0], strides[1], strides[2], strides[3]};
  const bool is_float = bias.dtype().bits == 32;
  FMS_TRY(call.problem.mods,
          attention::Mods::embedded("bias", is_float ? "" : "#define FMS_BIAS_ELEMENT T\n"));
  bytes.resize(sizeof data + sizeof in_order);
  std::memcpy(bytes.data(), &data, sizeof data);
  std::memcpy(bytes.data() + sizeof data, in_order, sizeof in_order);
  call.arguments.mods = bytes.data();
  call.arguments.mods_bytes = bytes.size();
  return {};
}

// The same with options. bias_strides: of a batch, head, query and key, 0 where these share it.
// softcap: 0 is none. max_q, max_k: the longest of packed sequences. mods:
// -1 is none, else a number of attention_mods(), with the bytes of its struct. table: what
// attention_block_table() wrote, of the shape that it gave.
void attention_forward_options(ffi::TensorView q, ffi::TensorView k, ffi::TensorView v,
                               ffi::TensorView out, Optional lse, double scale, int mask,
                               ffi::String layout, ffi::String dtype, std::int64_t stream,
                               int window_left, int window_right, double softcap, Optional sinks,
                               Optional bias, ffi::Array<std::int64_t> bias_strides,
                               Optional starts_q, Optional starts_k, int max_q, int max_k,
                               std::int64_t mods, ffi::Bytes mods_bytes, Optional table,
                               ffi::Array<std::int64_t> table_shape) {
  Call call(q, k, v, mask, layout, dtype, starts_q.has_value());
  call.set_output(q, out, lse);
  attention::Arguments& arguments = call.arguments;
  arguments.scale = static_cast<float>(scale);
  call.set_window(window_left, window_right);
  call.problem.softcap = softcap != 0;
  arguments.softcap = static_cast<float>(softcap);
  if (sinks.has_value()) {
    call.problem.sinks = true;
    arguments.sinks = static_cast<const float*>(
        read_list(*sinks, q, DType::kFloat32, call.problem.heads, "sinks"));
  }
  if (starts_q.has_value() && starts_k.has_value()) {
    call.set_packed(q, *starts_q, *starts_k, max_q, max_k);
  }
  set_mods(call, mods, mods_bytes);
  if (call.is_empty()) return;
  if (table.has_value()) {
    call.problem.block_table = true;
    const auto shape = shape_of(table_shape);
    void* memory = read_list(*table, q, DType::kInt32, static_cast<std::int64_t>(shape.bytes() / 4),
                             "block_table");
    arguments.block_table = attention::view_of(shape, memory);
  }
  if (bias.has_value()) {
    check_bias(q, *bias, bias_strides, call.problem.dtype);
  }
  const StreamView on = stream_of(call.device, stream);
  std::vector<std::byte> bias_bytes;
  run(call.device,
      [&](Jit& jit, const std::shared_ptr<Device>& device,
          const GetOptions& options) -> Result<void> {
        if (bias.has_value()) {
          FMS_TRY_VOID(add_bias(*bias, bias_strides, call, bias_bytes));
        }
        return attention::forward(jit, device, on, call.problem, call.arguments, options);
      });
}

// flashmoe_science.attention_block_table: without `memory`, the shape of the table for such a call;
// with it, int32 of as many numbers as the shape's last says, fills it.
ffi::Array<std::int64_t> attention_block_table(
    ffi::TensorView q, ffi::TensorView k, ffi::TensorView v, Optional memory, double scale,
    int mask, ffi::String layout, ffi::String dtype, std::int64_t stream, int window_left,
    int window_right, double softcap, Optional starts_q, Optional starts_k, int max_q, int max_k,
    std::int64_t mods, ffi::Bytes mods_bytes, bool per_batch, bool per_head) {
  Call call(q, k, v, mask, layout, dtype, starts_q.has_value());
  attention::Problem& problem = call.problem;
  attention::Arguments& arguments = call.arguments;
  // The output isn't there yet: it will be one that can be reached as well as q.
  arguments.o = const_cast<void*>(arguments.q);
  const std::int64_t columns = problem.value_columns();
  arguments.o_strides = {.batch = columns * problem.heads * problem.seq_q,
                         .head = columns,
                         .row = columns * problem.heads};
  arguments.scale = static_cast<float>(scale);
  call.set_window(window_left, window_right);
  problem.softcap = softcap != 0;
  arguments.softcap = static_cast<float>(softcap);
  if (starts_q.has_value() && starts_k.has_value()) {
    call.set_packed(q, *starts_q, *starts_k, max_q, max_k);
  }
  set_mods(call, mods, mods_bytes);
  attention::BlockTableShape shape;
  const StreamView on = stream_of(call.device, stream);
  run(call.device,
      [&](Jit& jit, const std::shared_ptr<Device>& device,
          const GetOptions& options) -> Result<void> {
        FMS_TRY(shape,
                attention::block_table_shape(jit, *device, problem, arguments,
                                             {.per_batch = per_batch, .per_head = per_head}));
        if (!memory.has_value()) return {};
        void* to = read_list(*memory, q, DType::kInt32,
                             static_cast<std::int64_t>(shape.bytes() / 4), "memory");
        FMS_TRY_VOID(
            attention::fill_block_table(jit, device, on, problem, arguments, shape, to, options));
        return {};
      });
  return {shape.tiles_q,
          shape.tiles_k,
          shape.batch,
          shape.heads,
          shape.block_m,
          shape.block_n,
          shape.from_last ? 1 : 0,
          shape.seq_q,
          shape.seq_k,
          static_cast<std::int64_t>(shape.bytes() / 4)};
}

}  // namespace

void register_operators() {
  ffi::reflection::GlobalDef()
      .def("flashmoe_science.attention_forward", attention_forward)
      .def("flashmoe_science.attention_forward_options", attention_forward_options)
      .def("flashmoe_science.attention_block_table", attention_block_table)
      .def("flashmoe_science.attention_mods", attention_mods)
      .def("flashmoe_science.attention_mods_text", attention_mods_text);
}

}  // namespace fms::python
