#include "compiler/nvrtc_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>

#include "compiler/compile_log.h"
#include "compiler/includes.h"
#include "compiler/nvrtc_library.h"
#include "compiler/version.h"

namespace fms {
namespace {

constexpr std::size_t kShownDigits = 16;       // of a digest in the fingerprint: 64 bits
constexpr std::size_t kLongestUnit = 8 << 10;  // of a translation unit repeated in a detail

// What NVRTC calls the translation unit. A kernel's own file is often ENTRY.cu, and NVRTC takes an
// include of the unit's name for the unit itself.
std::string unit_name(const CompileRequest& request) { return request.entry + ".specialized.cu"; }

// A program of NVRTC, destroyed whatever happens.
class Program {
 public:
  explicit Program(const NvrtcFunctions& nvrtc) : nvrtc_(nvrtc) {}
  ~Program() {
    if (program_ != nullptr) nvrtc_.destroy_program(&program_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  nvrtcResult create(const CompileRequest& request, const std::vector<const SourceFile*>& headers) {
    std::vector<const char*> names, texts;
    for (const SourceFile* header : headers) {
      names.push_back(header->name.c_str());
      texts.push_back(header->text.c_str());
    }
    return nvrtc_.create_program(&program_, request.source.c_str(), unit_name(request).c_str(),
                                 static_cast<int>(names.size()), texts.data(), names.data());
  }

  nvrtcResult compile(const std::vector<std::string>& options, const CancelToken& cancel) {
    if (nvrtc_.set_flow_callback != nullptr) {
      nvrtc_.set_flow_callback(
          program_,
          [](void* token, void*) {
            return static_cast<const CancelToken*>(token)->cancelled() ? 1 : 0;
          },
          const_cast<CancelToken*>(&cancel));
    }
    std::vector<const char*> texts;
    for (const std::string& option : options) texts.push_back(option.c_str());
    return nvrtc_.compile_program(program_, static_cast<int>(texts.size()), texts.data());
  }

  std::string log() const {
    std::size_t size = 0;
    if (nvrtc_.get_program_log_size(program_, &size) != NVRTC_SUCCESS || size == 0) return {};
    std::string text(size, '\0');
    if (nvrtc_.get_program_log(program_, text.data()) != NVRTC_SUCCESS) return {};
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
  }

  // Where a precompiled header didn't fit, makes room for the next one. That compile went on
  // without it.
  void grow_pch_heap() const {
    std::size_t needed = 0;
    if (static_cast<int>(nvrtc_.get_pch_create_status(program_)) == kNvrtcPchHeapExhausted &&
        nvrtc_.get_pch_heap_size_required(program_, &needed) == NVRTC_SUCCESS) {
      nvrtc_.set_pch_heap_size(needed);
    }
  }

  // Empty if NVRTC has none.
  std::vector<std::byte> code(ObjectFormat format) const {
    const bool is_ptx = format == ObjectFormat::kPtx;
    const auto get_size = is_ptx ? nvrtc_.get_ptx_size : nvrtc_.get_cubin_size;
    const auto get = is_ptx ? nvrtc_.get_ptx : nvrtc_.get_cubin;
    std::size_t size = 0;
    if (get_size(program_, &size) != NVRTC_SUCCESS) return {};
    std::vector<std::byte> bytes(size);
    if (size > 0 && get(program_, reinterpret_cast<char*>(bytes.data())) != NVRTC_SUCCESS) {
      return {};
    }
    return bytes;
  }

 private:
  const NvrtcFunctions& nvrtc_;
  nvrtcProgram program_ = nullptr;
};

std::string headers_digest(const std::vector<SourceFile>& headers) {
  FieldHasher hasher;
  for (const SourceFile& header : headers) hasher.add(header.name, header.text);
  return hasher.finish().hex();
}

bool mentions_any(std::string_view text, const std::set<std::string_view>& names) {
  return std::ranges::any_of(scan_includes(text), [&](const IncludeName& include) {
    return names.contains(include.name);
  });
}

}  // namespace

struct NvrtcCompiler::State {
  NvrtcLibrary library;
  std::vector<SourceFile> headers;          // the toolkit's, sorted by name
  std::set<std::string_view> header_names;  // views of `headers`
  std::vector<int> archs;
  std::string fingerprint;
  bool precompiles = false;

  bool precompiles_headers_of(const CompileRequest& request) const;
  std::vector<const SourceFile*> headers_for(const CompileRequest& request) const;
  std::vector<std::string> options_for(const CompileRequest& request) const;
  Result<void> check_target(const Target& target) const;
  std::unexpected<Error> unsupported(const Target& target) const;
  std::string detail(const CompileRequest& request, std::span<const Diagnostic> errors,
                     std::string_view log) const;
  Error failure(const CompileRequest& request, nvrtcResult result, const std::string& log,
                const CancelToken& cancel) const;
  Result<void> check_rules(const CompileRequest& request, const ObjectCode& object) const;
};

// The toolkit's headers come along only if something names one: their texts are a MiB, which
// creating a program copies.
std::vector<const SourceFile*> NvrtcCompiler::State::headers_for(
    const CompileRequest& request) const {
  std::vector<const SourceFile*> result;
  std::set<std::string_view> own;
  bool toolkit = mentions_any(request.source, header_names);
  for (const SourceFile& header : request.headers) {
    result.push_back(&header);
    own.insert(header.name);
    toolkit = toolkit || mentions_any(header.text, header_names);
  }
  if (!toolkit) return result;
  for (const SourceFile& header : headers) {
    if (!own.contains(header.name)) result.push_back(&header);
  }
  return result;
}

bool NvrtcCompiler::State::precompiles_headers_of(const CompileRequest& request) const {
  // Measured: parsing one of the toolkit's headers costs 18 ms, all else that stands in front of
  // the constants next to nothing.
  return precompiles && mentions_any(request.source, header_names);
}

std::vector<std::string> NvrtcCompiler::State::options_for(const CompileRequest& request) const {
  std::vector<std::string> options = request.options;
  // These decide no bytes, and so aren't the request's.
  if (request.format == ObjectFormat::kCubin) options.emplace_back("--ptxas-options=-v");
  // NVRTC's own cache of compiles leaves ptxas's words out of the log of a hit.
  const bool has_cache = library.major > 12 || (library.major == 12 && library.minor >= 9);
  if (has_cache) options.emplace_back("--no-cache");
  if (precompiles_headers_of(request)) {
    // NVRTC takes a precompiled header for one of equal options and #include lines, though the
    // texts in memory may differ: measured, it then compiles the old text. Their digest, as a
    // macro that nothing uses, makes the options differ where the texts do.
    FieldHasher hasher;
    hasher.add("compiler", fingerprint);
    for (const SourceFile& header : request.headers) hasher.add(header.name, header.text);
    options.push_back("-DFMS_PRECOMPILED_" + hasher.finish().hex());
    options.emplace_back("--pch");
    options.emplace_back("--pch-messages=false");
    options.emplace_back("--diag-suppress=629,630");  // that another one was looked at
  }
  return options;
}

std::unexpected<Error> NvrtcCompiler::State::unsupported(const Target& target) const {
  return fail(ErrorCode::kUnsupported,
              fmt::format("NVRTC {}.{} can't compile for {}; it knows sm_{}", library.major,
                          library.minor, target.to_string(), fmt::join(archs, ", sm_")));
}

Result<void> NvrtcCompiler::State::check_target(const Target& target) const {
  const bool known = target.kind == Target::Kind::kCuda &&
                     std::ranges::find(archs, target.compute_capability()) != archs.end();
  if (!known) return unsupported(target);
  return {};
}

std::string NvrtcCompiler::State::detail(const CompileRequest& request,
                                         std::span<const Diagnostic> errors,
                                         std::string_view log) const {
  std::vector<SourceFile> sources = request.headers;
  sources.push_back({.name = unit_name(request), .text = request.source});
  std::string_view unit = request.source;
  const bool whole = unit.size() <= kLongestUnit;
  unit = unit.substr(0, kLongestUnit);
  return fmt::format(
      "kernel:   {}\ntarget:   {}\ncompiler: {}\nversion:  FlashMoE-Science {}\noptions:  {}\n\n"
      "{}\ntranslation unit {}:\n{}{}\nlog:\n{}",
      request.entry, request.target.to_string(), fingerprint, fms::version(),
      fmt::join(request.options, " "), show_errors(errors, sources), unit_name(request), unit,
      whole ? "" : "\n(cut here)\n", log);
}

Error NvrtcCompiler::State::failure(const CompileRequest& request, nvrtcResult result,
                                    const std::string& log, const CancelToken& cancel) const {
  const std::string what = fmt::format("{} for {}", request.entry, request.target.to_string());
  const std::string reason = library.functions.get_error_string(result);
  if (static_cast<int>(result) == kNvrtcCancelled || cancel.cancelled()) {
    return {ErrorCode::kCancelled, fmt::format("the compile of {} was cancelled", what), {}};
  }
  if (result == NVRTC_ERROR_OUT_OF_MEMORY) {
    return {ErrorCode::kOutOfMemory,
            fmt::format("can't compile {}: NVRTC has no memory left", what), log};
  }
  // A suffix that an architecture doesn't have, as in sm_80a, is found by a later stage.
  const bool refused_arch = log.find("value for --gpu-architecture") != std::string::npos ||
                            log.find("--nv_arch flag") != std::string::npos;
  if (refused_arch) {
    return unsupported(request.target).error();
  }
  const std::vector<Diagnostic> errors = find_errors(log);
  const std::string first = errors.empty() ? reason : errors.front().to_string();
  ErrorCode code = ErrorCode::kCompileFailed;
  if (result == NVRTC_ERROR_BUILTIN_OPERATION_FAILURE) code = ErrorCode::kUnavailable;
  if (result == NVRTC_ERROR_INTERNAL_ERROR || result == NVRTC_ERROR_INVALID_PROGRAM ||
      result == NVRTC_ERROR_PROGRAM_CREATION_FAILURE) {
    code = ErrorCode::kInternal;
  }
  return {code, fmt::format("can't compile {}: {}", what, first), detail(request, errors, log)};
}

// Law 10.
Result<void> NvrtcCompiler::State::check_rules(const CompileRequest& request,
                                               const ObjectCode& object) const {
  const Resources& used = object.resources;
  const std::string what = fmt::format("{} for {}", request.entry, request.target.to_string());
  if (!request.allow_spills && (used.spill_stores > 0 || used.spill_loads > 0)) {
    return fail(
        ErrorCode::kRejected,
        fmt::format("{} is refused: it spills registers, {} bytes of stores and {} of loads "
                    "a thread, with {} registers; choose a smaller tile, or declare "
                    "FMS_ALLOW(spills) in the template",
                    what, used.spill_stores, used.spill_loads, used.registers),
        detail(request, {}, object.log));
  }
  if (!request.allow_serialized_wgmma && used.serialized_wgmma) {
    return fail(ErrorCode::kRejected,
                fmt::format("{} is refused: ptxas serialises its wgmma (the log has the place); "
                            "keep accumulators in registers between commit and wait, or declare "
                            "FMS_ALLOW(serialized_wgmma) in the template",
                            what),
                detail(request, {}, object.log));
  }
  return {};
}

std::vector<std::string> nvrtc_header_roots() {
  return {"cuda_bf16.h", "cuda_fp16.h", "cuda_fp8.h"};
}

NvrtcCompiler::NvrtcCompiler(std::unique_ptr<State> state) : state_(std::move(state)) {}
NvrtcCompiler::~NvrtcCompiler() = default;

Result<std::shared_ptr<const NvrtcCompiler>> NvrtcCompiler::open(const std::string& library_path,
                                                                 std::vector<SourceFile> headers,
                                                                 const NvrtcOptions& options) {
  auto state = std::make_unique<State>();
  FMS_TRY(state->library, open_nvrtc(library_path));
  const NvrtcLibrary& library = state->library;
  int count = 0;
  if (library.functions.get_num_supported_archs(&count) == NVRTC_SUCCESS && count > 0) {
    state->archs.resize(static_cast<std::size_t>(count));
    library.functions.get_supported_archs(state->archs.data());
    std::ranges::sort(state->archs);
  }
  std::ranges::sort(headers, {}, &SourceFile::name);
  state->headers = std::move(headers);
  for (const SourceFile& header : state->headers) state->header_names.insert(header.name);
  // Before 13, NVRTC has no folder of its own for them, and this library has none to give.
  state->precompiles = options.precompile_headers && library.major >= 13 &&
                       library.functions.get_pch_create_status != nullptr &&
                       library.functions.get_pch_heap_size_required != nullptr &&
                       library.functions.set_pch_heap_size != nullptr;
  state->fingerprint =
      fmt::format("nvrtc {}.{} build {} builtins {} headers {}", library.major, library.minor,
                  library.build.substr(0, kShownDigits), library.builtins.substr(0, kShownDigits),
                  headers_digest(state->headers).substr(0, kShownDigits));
  return std::shared_ptr<const NvrtcCompiler>(new NvrtcCompiler(std::move(state)));
}

const std::string& NvrtcCompiler::fingerprint() const { return state_->fingerprint; }

std::pair<int, int> NvrtcCompiler::version() const {
  return {state_->library.major, state_->library.minor};
}

const std::string& NvrtcCompiler::library_path() const { return state_->library.path; }

std::vector<int> NvrtcCompiler::supported_archs() const { return state_->archs; }

Result<ObjectCode> NvrtcCompiler::compile(const CompileRequest& request,
                                          const CancelToken& cancel) const {
  if (request.compiler != fingerprint()) {
    return fail(ErrorCode::kInternal, fmt::format("the request to compile {} is for {}, not for {}",
                                                  request.entry, request.compiler, fingerprint()));
  }
  FMS_TRY_VOID(state_->check_target(request.target));
  if (cancel.cancelled()) {
    return std::unexpected(state_->failure(request, NVRTC_SUCCESS, {}, cancel));
  }
  const auto start = std::chrono::steady_clock::now();
  Program program(state_->library.functions);
  nvrtcResult result = program.create(request, state_->headers_for(request));
  if (result != NVRTC_SUCCESS) {
    return std::unexpected(state_->failure(request, result, {}, cancel));
  }
  result = program.compile(state_->options_for(request), cancel);
  if (state_->precompiles_headers_of(request)) program.grow_pch_heap();
  ObjectCode object{.format = request.format,
                    .target = request.target,
                    .entry = request.entry,
                    .log = program.log(),
                    .compiler = fingerprint()};
  if (result != NVRTC_SUCCESS) {
    return std::unexpected(state_->failure(request, result, object.log, cancel));
  }
  object.bytes = program.code(request.format);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  object.compile_ms = taken.count();
  if (object.bytes.empty()) {
    return fail(ErrorCode::kInternal,
                fmt::format("NVRTC compiled {} for {} and has no {} of it", request.entry,
                            request.target.to_string(), to_string(request.format)),
                object.log);
  }
  if (request.format == ObjectFormat::kCubin) {
    FMS_TRY(object.resources, read_cubin(object.bytes, request.entry));
    read_ptxas_log(object.log, request.entry, object.resources);
    FMS_TRY_VOID(state_->check_rules(request, object));
  }
  return object;
}

}  // namespace fms
