#pragma once

#include <cstdint>
#include <string_view>

namespace gradflow {

/// xxh64 with seed 0: the hash of every contract of gradflow (point hashes, checksums), so part of the file format.
std::uint64_t xxh64(std::string_view bytes);

}  // namespace gradflow
