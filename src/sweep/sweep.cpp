#include "gradflow/sweep/sweep.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "grid.hpp"
#include "limits.hpp"

namespace gradflow::sweep {

namespace {

UserError unreadable(const std::filesystem::path& file, std::string_view reason) {
  return UserError(fmt::format("{}: {}; expected a readable sweep file (TOML)", file.string(), reason));
}

std::map<std::string, Swept, std::less<>> swept_keys(const std::vector<Axis>& axes) {
  std::map<std::string, Swept, std::less<>> swept;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const auto& columns = axes[axis].columns;
    for (std::size_t column = 0; column < columns.size(); ++column)
      swept[columns[column].key] = {axis, column};
  }
  return swept;
}

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) throw unreadable(file, "is a directory");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw unreadable(file, std::strerror(errno));
  std::string text(largest_file + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw unreadable(file, "read error");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

Sweep Sweep::read(const std::filesystem::path& file, const Schema& schema,
                  const std::vector<std::string>& overrides) {
  return parse(read_text(file), file, schema, overrides);
}

Sweep Sweep::parse(std::string text, const std::filesystem::path& file, const Schema& schema,
                   const std::vector<std::string>& overrides) {
  Contents contents = read_contents(parse_toml(text, file.string()), schema);
  for (const std::string& option : overrides) apply_override(contents, schema, option);

  const auto grid = std::make_shared<Grid>(schema, std::move(contents));
  grid->text = std::move(text);
  grid->file = file;
  grid->overrides = overrides;
  grid->size = checked_size(grid->contents.axes, schema, file.string());
  grid->swept = swept_keys(grid->contents.axes);
  grid->hashed_keys = hashed_keys_of(schema);
  grid->fixed_lines = fixed_lines_of(*grid);
  return Sweep(grid);
}

std::string Sweep::title() const {
  const Key* key = schema().find("title");
  const Value* title = key ? grid_->unswept(*key) : nullptr;
  return title ? std::get<std::string>(*title) : "";
}

const std::string& Sweep::text() const { return grid_->text; }
const std::filesystem::path& Sweep::file() const { return grid_->file; }
const std::vector<std::string>& Sweep::overrides() const { return grid_->overrides; }
const Schema& Sweep::schema() const { return grid_->schema; }
const std::vector<Axis>& Sweep::axes() const { return grid_->contents.axes; }
std::uint64_t Sweep::size() const { return grid_->size; }

SweepPoint Sweep::point(std::uint64_t index) const {
  expect(index < size(), "the index of a point of the sweep");
  return SweepPoint(grid_, index);
}

bool Sweep::is_swept(std::string_view key) const { return grid_->swept.contains(key); }

const Value* Sweep::fixed(std::string_view key) const {
  const Key* known = schema().find(key);
  expect(known != nullptr, "a key of the schema");
  return is_swept(key) ? nullptr : grid_->unswept(*known);
}

}  // namespace gradflow::sweep
