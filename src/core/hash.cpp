#include "gradflow/core/hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gradflow {

std::uint64_t xxh64(std::string_view bytes, std::uint64_t seed) {
  return XXH64(bytes.data(), bytes.size(), seed);
}

}  // namespace gradflow
