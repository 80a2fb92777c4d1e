#pragma once

#include <filesystem>
#include <utility>

namespace gradflow::store {

/// A second descriptor on a file that HDF5 writes, to bring what was written to the disk.
class DiskSync {
 public:
  explicit DiskSync(const std::filesystem::path& file);
  DiskSync(DiskSync&& other) noexcept
      : file_(std::move(other.file_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  DiskSync& operator=(DiskSync&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~DiskSync();

  /// Returns when the data written so far by this host are on the disk. @throws Error
  void data() const;
  /// The same, and the file's length and times too.
  void all() const;

 private:
  std::filesystem::path file_;
  int descriptor_;
};

/// Whether no other process that has this file open has asked before: when a disk is full every rank fails at
/// once, and one of them is enough to say so. Held to the end of the process, on every node, in no space.
bool claim_last_word(const std::filesystem::path& file);

/// Gives a complete file its name: after a crash at any moment the name means the old file or the new one,
/// whole.
void publish(const std::filesystem::path& complete, const std::filesystem::path& name);

}  // namespace gradflow::store
