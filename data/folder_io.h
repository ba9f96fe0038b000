// What data sets need from folders and text files. Whole files are read with tensor/io/file.h.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kronbit::data {

/// Names in a folder, in bytewise order, without those that start with a dot.
/// Throws: InputError when it is not a folder that can be read.
std::vector<std::string> list_folder(const std::filesystem::path& folder);

/// Class names: the lines of a text file without line ends and empty lines.
/// Throws: InputError unless they are 1 to kMaxClasses lines in at most 16 MB.
std::vector<std::string> read_names(const std::filesystem::path& path);

/// Throws: InputError unless the class name is UTF-8 without control characters.
void check_name(const std::string& name, const std::filesystem::path& where);

}  // namespace kronbit::data
