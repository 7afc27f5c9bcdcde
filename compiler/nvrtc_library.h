#pragma once

#include <nvrtc.h>

#include <cstddef>
#include <string>

#include "compiler/result.h"

namespace fms {

// Values of nvrtcResult since 12.8. Numbers, since this also builds with an older nvrtc.h.
inline constexpr int kNvrtcPchHeapExhausted = 14;
inline constexpr int kNvrtcCancelled = 16;

// The functions of NVRTC that this project calls. Those from set_flow_callback on may be null: an
// older NVRTC doesn't have them.
struct NvrtcFunctions {
  decltype(&nvrtcVersion) version = nullptr;
  decltype(&nvrtcGetErrorString) get_error_string = nullptr;
  decltype(&nvrtcGetNumSupportedArchs) get_num_supported_archs = nullptr;
  decltype(&nvrtcGetSupportedArchs) get_supported_archs = nullptr;
  decltype(&nvrtcCreateProgram) create_program = nullptr;
  decltype(&nvrtcDestroyProgram) destroy_program = nullptr;
  decltype(&nvrtcCompileProgram) compile_program = nullptr;
  decltype(&nvrtcGetProgramLogSize) get_program_log_size = nullptr;
  decltype(&nvrtcGetProgramLog) get_program_log = nullptr;
  decltype(&nvrtcGetPTXSize) get_ptx_size = nullptr;
  decltype(&nvrtcGetPTX) get_ptx = nullptr;
  decltype(&nvrtcGetCUBINSize) get_cubin_size = nullptr;
  decltype(&nvrtcGetCUBIN) get_cubin = nullptr;

  // Since 12.8; spelled out for the same reason.
  nvrtcResult (*set_flow_callback)(nvrtcProgram, int (*)(void*, void*), void*) = nullptr;
  nvrtcResult (*get_pch_create_status)(nvrtcProgram) = nullptr;
  nvrtcResult (*get_pch_heap_size_required)(nvrtcProgram, std::size_t*) = nullptr;
  nvrtcResult (*set_pch_heap_size)(std::size_t) = nullptr;
};

// NVRTC as it was opened: what it can do, and what tells it from any other build.
struct NvrtcLibrary {
  NvrtcFunctions functions;
  std::string path;  // the file that the loader really opened
  int major = 0, minor = 0;
  std::string build;     // GNU build id, or SHA-256, of the library; hexadecimal
  std::string builtins;  // SHA-256 of libnvrtc-builtins, which has the device library
};

// Opens NVRTC, and its builtins beside it, for the life of the process. kUnavailable if it can't be
// opened, lacks a function or its builtins.
Result<NvrtcLibrary> open_nvrtc(const std::string& library_path);

}  // namespace fms
