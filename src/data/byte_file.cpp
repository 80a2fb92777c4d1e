#include "byte_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::data {

void require_file(const std::filesystem::path& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) {
    throw UserError(fmt::format("{}: No such file; paths are relative to the sweep file", path.string()));
  }
  if (!std::filesystem::is_regular_file(status)) throw UserError(path.string() + ": expected a file");
  if (access(path.c_str(), R_OK) != 0) {
    throw UserError(fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
}

ByteFile::ByteFile(const std::filesystem::path& path) : path_(path) {
  require_file(path);
  file_.reset(gzopen(path.c_str(), "rb"));
  if (!file_) throw UserError(path.string() + ": cannot be opened");
}

void ByteFile::read(std::span<std::uint8_t> bytes, const std::string& what) {
  constexpr std::size_t most = 1 << 30;
  for (std::size_t at = 0; at < bytes.size();) {
    const int got = gzread(file_.get(), bytes.data() + at, unsigned(std::min(most, bytes.size() - at)));
    if (got <= 0) {
      throw UserError(fmt::format("{}: is truncated or damaged: it ends {} bytes into {}, which has {}",
                                  path_.string(), at, what, bytes.size()));
    }
    at += std::size_t(got);
  }
}

std::int64_t ByteFile::most_bytes() const {
  constexpr std::int64_t most_of_deflate = 1032;
  const auto size = std::int64_t(std::filesystem::file_size(path_));
  return gzdirect(file_.get()) ? size : most_of_deflate * size;
}

void ByteFile::require_end() {
  std::uint8_t next = 0;
  const int got = gzread(file_.get(), &next, 1);
  if (got == 0) return;
  throw UserError(path_.string() +
                  (got > 0 ? ": goes on after what its header announces" : ": is damaged at its end"));
}

}  // namespace gradflow::data
