#include <array>
#include <limits>

#include <fmt/format.h>

#include "byte_file.hpp"
#include "file_data_set.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::data {
namespace {

/// The header of an IDX file: two zero bytes, the type of the values, the number of axes, and the length of
/// each, big-endian. http://yann.lecun.com/exdb/mnist/
struct IdxHeader {
  std::vector<std::int64_t> shape;

  std::int64_t samples() const { return shape.front(); }
};

constexpr std::uint8_t unsigned_byte = 8;

IdxHeader read_header(ByteFile& file, const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> magic{};
  file.read(magic, "its header");
  const int axes = magic[3];
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != unsigned_byte || axes < 1 || axes > 8) {
    throw UserError(fmt::format(
        "{}: begins with the bytes {:02x}; expected an IDX file of unsigned bytes, 00 00 08 and the number "
        "of axes (03 for images, 01 for labels), plain or gzip",
        path.string(), fmt::join(magic, " ")));
  }
  IdxHeader header;
  for (int axis = 0; axis < axes; ++axis) {
    std::array<std::uint8_t, 4> b{};
    file.read(b, "its header");
    header.shape.push_back(std::int64_t(b[0]) << 24 | b[1] << 16 | b[2] << 8 | b[3]);
  }
  return header;
}

/// Values after the header, at most most_bytes.
std::int64_t bytes_of(const IdxHeader& header, const std::filesystem::path& path) {
  std::int64_t bytes = 1;
  for (const std::int64_t length : header.shape) {
    if (__builtin_mul_overflow(bytes, length, &bytes) || bytes > most_bytes) {
      throw UserError(fmt::format("{}: announces [{}] bytes; expected at most {}", path.string(),
                                  fmt::join(header.shape, "]["), most_bytes));
    }
  }
  if (bytes == 0) throw UserError(path.string() + ": announces no samples");
  return bytes;
}

/// A header that announces more than can follow asks for memory that is never filled.
IdxHeader read_possible_header(ByteFile& file, const std::filesystem::path& path) {
  IdxHeader header = read_header(file, path);
  const std::int64_t bytes = bytes_of(header, path);
  if (bytes <= file.most_bytes()) return header;
  throw UserError(fmt::format("{}: is truncated or damaged: it announces [{}] bytes and cannot hold them",
                              path.string(), fmt::join(header.shape, "][")));
}

IdxHeader header_of(const std::filesystem::path& path) {
  ByteFile file(path);
  return read_possible_header(file, path);
}

/// All of a file, which may not be longer or shorter than its header says.
std::vector<std::uint8_t> read_whole(const std::filesystem::path& path) {
  ByteFile file(path);
  const IdxHeader header = read_possible_header(file, path);
  std::vector<std::uint8_t> bytes(std::size_t(bytes_of(header, path)));
  file.read(bytes, "its values");
  file.require_end();
  return bytes;
}

void require_labels(const std::filesystem::path& path, std::int64_t samples) {
  const IdxHeader header = header_of(path);
  if (header.shape.size() == 1 && header.samples() == samples) return;
  throw UserError(fmt::format("{}: has the shape [{}]; expected one label for each of the {} images",
                              path.string(), fmt::join(header.shape, "]["), samples));
}

}  // namespace

std::shared_ptr<const nn::DataSet> open_idx(const std::filesystem::path& images,
                                            const std::filesystem::path& labels, Standardization wanted) {
  const IdxHeader header = header_of(images);
  const std::int64_t width = bytes_of(header, images) / header.samples();
  Contents contents;
  contents.size = header.samples();
  contents.width = int(width);
  contents.read_values = [images] { return Values(read_whole(images)); };
  if (!labels.empty()) {
    require_labels(labels, header.samples());
    contents.read_labels = [labels] {
      const std::vector<std::uint8_t> bytes = read_whole(labels);
      return std::vector<int>(bytes.begin(), bytes.end());
    };
  }
  return std::make_shared<FileDataSet>(std::move(contents), wanted);
}

}  // namespace gradflow::data
