#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "compiler/llvm_library.h"

namespace fms {

// What is known of the LLVM library from its file, without opening it, which takes far longer than
// a hit in the store.

// The file that open_llvm(path) opens first. Nothing: only the loader knows.
std::optional<std::filesystem::path> find_llvm_file(const std::string& path);

// Says which fingerprint `library`, just opened, has, and which files it consists of: its own, and
// those of LLVM and clang that came with it.
std::string note_of(const LlvmLibrary& library);

// The fingerprint that note_of() said, if all its files are still the same.
std::optional<std::string> fingerprint_in(std::string_view note);

}  // namespace fms
