#include "gradflow/hdf5/soundness.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/handle.hpp"

namespace gradflow::hdf5 {
namespace {

constexpr std::string_view signature("\211HDF\r\n\032\n", 8);
constexpr std::uint64_t undefined_address = ~std::uint64_t(0);
constexpr std::uint64_t most_bytes_per_stored_byte = 1032;  // deflate
constexpr std::uint64_t free_bytes = 1 << 20;               // of fill values that are stored nowhere

[[noreturn]] void refuse(const std::string& what) {
  throw Error("the file's superblock is damaged: " + what);
}

/// The first bytes of a superblock, which may stand behind a block of the user's own.
class Superblock {
 public:
  explicit Superblock(std::ifstream& file) {
    for (begin_ = 0; !is_at(file, begin_); begin_ = begin_ == 0 ? 512 : 2 * begin_) {
      if (!file || begin_ > (std::uint64_t(1) << 40)) throw Error("file signature not found");
    }
  }

  std::uint64_t begin() const { return begin_; }
  unsigned byte(std::size_t at) const { return static_cast<unsigned char>(bytes_[at]); }

  /// A little-endian number.
  std::uint64_t number(std::size_t at, std::size_t width = 8) const {
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;) value = value << 8 | byte(at + i);
    return value;
  }

 private:
  /// A block that the file's end cuts off is read as if zeros followed.
  bool is_at(std::ifstream& file, std::uint64_t begin) {
    bytes_.fill(0);
    file.seekg(std::streamoff(begin));
    file.read(bytes_.data(), bytes_.size());
    const bool some = file.gcount() >= std::streamsize(signature.size());
    if (some) file.clear();
    return some && std::equal(signature.begin(), signature.end(), bytes_.begin());
  }

  std::array<char, 96> bytes_ = {};
  std::uint64_t begin_ = 0;
};

/// Where a version keeps its fields.
struct Layout {
  std::size_t widths;  ///< of addresses, then of lengths
  std::size_t base;    ///< the addresses: base, (free space or extension), end, ...
  std::size_t root;    ///< of the root group's object header
};

Layout layout_of(unsigned version) {
  switch (version) {
    case 0:
      return {13, 24, 24 + 4 * 8 + 8};
    case 1:
      return {13, 28, 28 + 4 * 8 + 8};
    case 2:
    case 3:
      return {9, 12, 12 + 3 * 8};
    default:
      refuse("its version is " + std::to_string(version) + "; expected 0 to 3");
  }
}

/// Of the trees that versions 0 and 1 describe in it. HDF5 divides by them.
void require_tree_sizes(const Superblock& block) {
  if (block.byte(9) != 0 || block.byte(10) != 0 || block.byte(12) != 0)
    refuse("unknown versions of its parts");
  if (block.number(16, 2) == 0 || block.number(18, 2) == 0) refuse("its trees have no room");
}

}  // namespace

void require_sound_superblock(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return;  // HDF5 says why
  std::error_code unknown;
  const std::uint64_t size = std::filesystem::file_size(path, unknown);
  if (unknown) throw Error("expected a file");

  const Superblock block(file);
  const Layout layout = layout_of(block.byte(8));
  if (block.byte(layout.widths) != 8 || block.byte(layout.widths + 1) != 8) {
    refuse("addresses and lengths of other than 8 bytes");
  }
  if (block.byte(8) < 2) require_tree_sizes(block);
  const std::uint64_t base = block.number(layout.base);
  const std::uint64_t end = block.number(layout.base + 2 * 8);
  const std::uint64_t root = block.number(layout.root);
  if (base != block.begin()) refuse("its base address is not its place");
  if (end > size - base) {
    throw Error("the file is truncated: it has " + std::to_string(size) + " bytes and says that it has " +
                std::to_string(end == undefined_address ? end : base + end));
  }
  if (root >= end) refuse("the root group lies outside the file");
}

void require_own_storage(hid_t dataset, std::string_view name) {
  const PropertyList creation(H5Dget_create_plist(dataset), "cannot tell how a dataset is stored");
  const bool is_virtual = H5Pget_layout(creation.get()) == H5D_VIRTUAL;
  if (!is_virtual && H5Pget_external_count(creation.get()) <= 0) return;
  throw Error("dataset " + std::string(name) +
              " keeps its values in other files, which are not followed; expected a file that is complete");
}

void require_stored(hid_t dataset, std::string_view name, unsigned long long values) {
  if (values <= free_bytes / 16) return;
  const Datatype type(H5Dget_type(dataset), "cannot tell the type of a dataset");
  const std::uint64_t bytes = values * std::min<std::uint64_t>(H5Tget_size(type.get()), 16);
  if (bytes <= free_bytes) return;
  const std::uint64_t stored = H5Dget_storage_size(dataset);
  if (bytes / most_bytes_per_stored_byte <= stored) return;
  throw Error("dataset " + std::string(name) + " announces " + std::to_string(bytes) + " bytes and stores " +
              std::to_string(stored) + ", which cannot hold them");
}

}  // namespace gradflow::hdf5
