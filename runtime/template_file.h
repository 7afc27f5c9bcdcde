#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "compiler/kernel_template.h"
#include "compiler/result.h"

namespace fms {

// A template by what a user types: the name of an embedded one, or the path of a file of his own,
// whose includes are looked up beside it and in `include_folders`. `entry` as in
// KernelTemplate::parse().
Result<std::shared_ptr<const KernelTemplate>> load_template(
    std::string_view name_or_path, std::string_view entry = {},
    const std::vector<std::filesystem::path>& include_folders = {});

// The text of a source file. Fails on one that can't be read, or is too long to be one.
Result<std::string> read_source(const std::filesystem::path& file);

// Looks an include up in `folders`, in order. The name that enters a key is what the source says,
// never where the file was found.
HeaderResolver resolver_in(std::vector<std::filesystem::path> folders);

}  // namespace fms
