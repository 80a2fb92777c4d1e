#pragma once

#include <string>
#include <vector>

#include "gradflow/hdf5/file.hpp"
#include "gradflow/hdf5/handle.hpp"

namespace gradflow::hdf5 {

/// A group of a new file: names of datasets inside it begin with "group/".
void create_group(const File& file, const std::string& name);

/// For its attributes. @throws Error if the file has no such group
GroupHandle open_group(const File& file, const std::string& name);

/// Names of what is in a group, sorted. @throws Error if the file has no such group
std::vector<std::string> names_in(const File& file, const std::string& group);

}  // namespace gradflow::hdf5
