#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <zlib.h>

namespace gradflow::data {

/// Bytes from the beginning of a file, unpacked if it is gzip. Nothing is unpacked that nobody asks for.
class ByteFile {
 public:
  /// @throws UserError if there is no such file
  explicit ByteFile(const std::filesystem::path& path);

  /// The next bytes. @param what  they are, for the message
  /// @throws UserError if the file ends before or is damaged
  void read(std::span<std::uint8_t> bytes, const std::string& what);

  /// Bytes that the file can hold at the most, unpacked: 1032 times its size if it is gzip.
  std::int64_t most_bytes() const;

  /// @throws UserError if there are more bytes
  void require_end();

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

/// @throws UserError unless it is a file that can be read
void require_file(const std::filesystem::path& path);

}  // namespace gradflow::data
