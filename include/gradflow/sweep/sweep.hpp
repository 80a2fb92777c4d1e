#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/sweep/axis.hpp"
#include "gradflow/sweep/schema.hpp"

namespace gradflow::sweep {

struct Grid;

/// One configuration of a sweep: a value for every key of the schema that is given or has a default.
///
/// Costs a few integers per axis and outlives its Sweep.
class SweepPoint {
 public:
  std::uint64_t index() const noexcept { return index_; }

  /// Whether the key has a value: swept, given or by default. @pre `key` is in the schema, here and below
  bool has(std::string_view key) const;
  /// @pre has(key)
  const Value& at(std::string_view key) const;

  // The value as what its type promises. @pre has(key) and the value holds that alternative
  bool boolean(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const NamedValue& name(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;
  std::uint64_t seed(std::string_view key) const;

  const std::filesystem::path& file() const;  ///< of the sweep; paths in it are relative to its folder

  /// Where the value was read; the whole file for a default.
  Place place_of(std::string_view key) const;
  /// The user's mistake in this key of this point, found by whoever knows more than the schema.
  UserError error(std::string_view key, std::string_view message) const;

  /// point_hash: what tells configurations apart over files, versions and the order of keys.
  ///
  /// xxh64 with seed 0 of the lines "key=canonical value\n", sorted by key as bytes, of all keys that enter
  /// the hash and differ from their default. A key that is absent counts as its default, so the schema may
  /// grow. Values are those of the keys' spellings: one configuration has one hash however it is written.
  std::uint64_t hash() const;

 private:
  friend class Sweep;
  SweepPoint(std::shared_ptr<const Grid> grid, std::uint64_t index);

  std::shared_ptr<const Grid> grid_;
  std::uint64_t index_;
  std::vector<std::size_t> positions_;  ///< on each axis
};

/// A sweep file, read and checked: fixed values and axes. The grid is the product of the axes in file order,
/// the last axis fastest; points are made when asked for.
class Sweep {
 public:
  /// @param overrides  what follows each --set: "init.sigma_w=[1, 2]"
  /// @throws UserError for a file that cannot be read, more than 1 MiB, and all that parse() refuses
  static Sweep read(const std::filesystem::path& file, const Schema& schema,
                    const std::vector<std::string>& overrides = {});

  /// The same from text already read (by another rank). @param file  its name, for messages and relative
  /// paths
  /// @throws UserError with file, line and column of a mistake in the file, with the option for one in an
  /// override
  static Sweep parse(std::string text, const std::filesystem::path& file, const Schema& schema,
                     const std::vector<std::string>& overrides = {});

  std::string title() const;                  ///< empty if the file has none
  const std::string& text() const;            ///< the file, verbatim
  const std::filesystem::path& file() const;  ///< as it was given; paths in it are relative to its folder
  const std::vector<std::string>& overrides() const;
  const Schema& schema() const;
  const std::vector<Axis>& axes() const;

  std::uint64_t size() const;
  /// @pre index < size()
  SweepPoint point(std::uint64_t index) const;

  bool is_swept(std::string_view key) const;
  /// The value that all points share; nullptr if the key is swept or absent.
  const Value* fixed(std::string_view key) const;

 private:
  explicit Sweep(std::shared_ptr<const Grid> grid) : grid_(std::move(grid)) {}

  std::shared_ptr<const Grid> grid_;
};

/// The text of a sweep file, for a rank that reads for others.
/// @throws UserError if it cannot be read or is larger than 1 MiB
std::string read_text(const std::filesystem::path& file);

}  // namespace gradflow::sweep
