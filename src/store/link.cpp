#include "gradflow/store/link.hpp"

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {

namespace fs = std::filesystem;

fs::path followed(fs::path name) {
  constexpr int most_links = 40;  // as the kernel has it
  const fs::path given = name;
  for (int links = 0; links < most_links; ++links) {
    std::error_code unknown;
    const fs::path target = fs::read_symlink(name, unknown);
    if (unknown) return name;            // no link
    name = name.parent_path() / target;  // an absolute target replaces all
  }
  throw UserError(
      fmt::format("{} is a symbolic link that leads in a circle; write to another file", given.string()));
}

}  // namespace gradflow::store
