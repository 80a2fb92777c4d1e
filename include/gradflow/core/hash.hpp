#pragma once

#include <cstdint>
#include <string_view>

namespace gradflow {

/// XXH64: the hash of every contract of gradflow (point hashes, checksums), so part of the file format.
std::uint64_t xxh64(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace gradflow
