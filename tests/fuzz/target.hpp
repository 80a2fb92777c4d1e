#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <stdlib.h>  // mkdtemp
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "gradflow/core/errors.hpp"

/// What the targets of tests/fuzz have in common. A target is one function of a file's bytes; libFuzzer calls
/// it with bytes that reach new code (clang, -DGRADFLOW_FUZZ=ON), seeded_driver.cpp with seeded changes to
/// the corpus.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace gradflow::fuzz {

/// Calls act: a mistake of the user is its good end, and so is success. Anything else ends the fuzzer.
inline void expect_answer_or_user_error(const std::function<void()>& act) {
  try {
    act();
  } catch (const UserError&) {
  }
}

/// A file in memory: one that is truncated and rewritten on a disk is written out by ext4 each time, which
/// takes fifteen times as long.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> bytes) : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t written = pwrite(file_, bytes.data() + at, bytes.size() - at, off_t(at));
      if (written <= 0) abort();
      at += std::size_t(written);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(file_); }

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

/// A folder in memory, for files that HDF5 makes by name.
inline const std::filesystem::path& memory_folder() {
  static const std::filesystem::path folder = [] {
    std::string name =
        (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/gradflow_fuzz_XXXXXX");
    if (mkdtemp(name.data()) == nullptr) abort();
    std::atexit([] { std::filesystem::remove_all(memory_folder()); });
    return std::filesystem::path(name);
  }();
  return folder;
}

/// Decisions, read off the bytes one after the other; zeros follow the last.
class Decisions {
 public:
  explicit Decisions(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  bool any_left() const { return !rest_.empty(); }
  /// 0 ... n - 1
  unsigned below(unsigned n) { return byte() % n; }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  std::string text() {
    std::string text(below(12), '\0');
    for (char& c : text) c = char(byte());
    return text;
  }

 private:
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }

  std::span<const std::uint8_t> rest_;
};

}  // namespace gradflow::fuzz
