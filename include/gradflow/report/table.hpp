#pragma once

#include <cstdint>
#include <optional>
#include <ostream>

#include "gradflow/store/result_file.hpp"

namespace gradflow::report {

/// For a terminal: one line per configuration; or, given a point, one line per layer (the first, the last and
/// about twenty between).
/// @throws UserError if the file has no such point
void print_table(const store::ResultFile& file, std::ostream& out, std::optional<std::uint64_t> point = {});

/// The same for programs. What is no number is null, the logarithm of zero is "-inf".
void print_json(const store::ResultFile& file, std::ostream& out, std::optional<std::uint64_t> point = {});

}  // namespace gradflow::report
