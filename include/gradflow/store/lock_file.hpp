#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace gradflow::store {

/// The right to write FILE, held through an exclusive fcntl lock on FILE.lock.
///
/// The lock dies with its process, however that ends; the file beside it names the holder. Readers never look
/// at it.
class LockFile {
 public:
  /// Slurm may start a requeued job while its earlier step still dies: a holder of the same job is waited
  /// for, up to a minute.
  /// @throws UserError naming host, process and job of the holder if somebody else writes `file`, or the
  ///         reason why nothing can be written beside it
  static LockFile acquire(const std::filesystem::path& file);

  /// Host, process and job of whoever writes `file` now; nothing if nobody does.
  /// @pre this process does not hold the lock: to look at it would be to let go
  static std::optional<std::string> holder_of(const std::filesystem::path& file);

  LockFile(LockFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  /// Removes the file and lets go of the lock.
  ~LockFile();

 private:
  LockFile(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace gradflow::store
