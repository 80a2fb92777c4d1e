#include "gradflow/store/result_store.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "continuation.hpp"
#include "failure_log.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/store/link.hpp"
#include "gradflow/store/lock_file.hpp"
#include "ledger.hpp"
#include "names.hpp"
#include "open_block.hpp"
#include "piece.hpp"
#include "shared_file.hpp"

namespace gradflow::store {
namespace {

constexpr int piece_tag = 1;

std::vector<bool> broadcast_bits(const mpi::Communicator& world, const std::vector<bool>& bits,
                                 std::uint64_t size) {
  mpi::Buffer packed((size + 7) / 8, std::byte{0});
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) packed[i / 8] |= std::byte(1) << (i % 8);
  }
  packed = world.broadcast(std::move(packed));
  std::vector<bool> received(size);
  for (std::size_t i = 0; i < size; ++i)
    received[i] = (packed[i / 8] >> (i % 8) & std::byte(1)) != std::byte(0);
  return received;
}

/// A NaN has many bit patterns, and which one comes out depends on the compiler: one of them is stored.
void unify_nans(std::span<double> values) {
  for (double& value : values) {
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  }
}

/// The end of the points, from `first` on, of which this stage holds the same rows.
std::size_t end_of_equal_rows(const std::vector<MeasuredPoint>& points, std::size_t first) {
  const MeasuredPoint& head = points[first];
  std::size_t end = first + 1;
  while (end < points.size() && points[end].point == head.point + (end - first) &&
         points[end].rows.first_row() == head.rows.first_row() &&
         points[end].rows.rows() == head.rows.rows()) {
    ++end;
  }
  return end;
}

/// One column of several points; of a single one, which may be huge, where it stands.
std::span<const double> joined_values(std::span<const MeasuredPoint> points, int column,
                                      std::vector<double>& values) {
  if (points.size() == 1) return points.front().rows.values(column);
  values.clear();
  for (const MeasuredPoint& it : points) {
    const std::span<const double> own = it.rows.values(column);
    values.insert(values.end(), own.begin(), own.end());
  }
  return values;
}

std::string span_of(const char* what, std::uint64_t first, std::uint64_t last) {
  return first == last ? fmt::format("{} {}", what, first) : fmt::format("{}s {} to {}", what, first, last);
}

/// "points 64 to 127, layers 501 to 1000": what this rank writes of a block.
std::string of(const std::vector<MeasuredPoint>& points) {
  std::string text = span_of("point", points.front().point, points.back().point);
  const MeasuredPoint& head = points.front();
  if (head.rows.rows() == 0) return text;
  const auto first = std::size_t(head.rows.first_row());
  return text + ", " +
         span_of("layer", std::uint64_t(head.layers->at(first)),
                 std::uint64_t(head.layers->at(first + std::size_t(head.rows.rows()) - 1)));
}

std::string of(const std::vector<FinishedPoint>& points) {
  return points.empty() ? "" : span_of("point", points.front().point, points.back().point);
}

/// Why the file system may have refused: MPI keeps the reason to itself.
std::string room_left(const std::string& path) {
  std::error_code unknown;
  const std::filesystem::space_info space = std::filesystem::space(path, unknown);
  if (unknown) return "";
  return fmt::format("; {:.4g} MiB are free there", double(space.available) / double(1 << 20));
}

/// @param what  could not be done: "write points 0 to 63"
std::string refusal(const std::string& path, const std::string& what, const Error& error) {
  return fmt::format(
      "{}: cannot {}{}: {}; every point committed before is intact: mend the cause and continue with the "
      "same command",
      path, what, room_left(path), error.what());
}

/// For rank 0 alone, while the others wait for its answer. @throws Error that names the file
template <class Act>
void beginning(const std::string& path, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    throw Error(refusal(path, "begin", error));
  }
}

/// @param what  "write points 0 to 63"
/// @throws Error that names the file and this, ToldError if another rank already says so
template <class Act>
void going_on(const std::string& path, const std::string& what, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    const std::string text = refusal(path, what, error);
    if (claim_last_word(path)) throw Error(text);
    throw ToldError(text);
  }
}

/// Of points that failed before they were begun, which are held as tables: 16 MiB.
constexpr std::size_t most_failed_values = std::size_t(2) << 20;

void require_no_directory(const std::filesystem::path& path) {
  std::error_code unknown;  // the lock file will tell why
  if (!std::filesystem::is_directory(path, unknown)) return;
  throw UserError(path.string() + " is a directory; give the name of a file, such as " +
                  (path / "results.h5").string());
}

}  // namespace

struct ResultStore::State {
  State(const mpi::Communicator& world_ranks, const mpi::Communicator& group_ranks, FileSchema file_schema,
        StoreOptions store_options)
      : world(world_ranks.split(0, world_ranks.rank())),
        group(group_ranks.split(0, group_ranks.rank())),
        writes(world.size() <= store_options.most_writers || group.rank() == 0),
        writers(world.split(writes ? 0 : 1, world.rank())),
        schema(std::move(file_schema)),
        options(std::move(store_options)),
        rule{group.size(), options.smallest_piece_bytes, world.size() > options.most_writers},
        ledger(schema, group.size()) {}

  bool leads() const { return group.rank() == 0; }
  void open_file(const std::filesystem::path& name);
  std::shared_ptr<const std::vector<int>> layers_of(std::uint64_t point);
  void close_block();
  void write_own_rows(const std::vector<MeasuredPoint>& block) const;
  bool write_own_rows_of(std::size_t column, const std::vector<MeasuredPoint>& block) const;
  std::vector<Piece> pieces_of(const std::vector<MeasuredPoint>& block) const;
  void hand_in(const std::vector<Piece>& pieces);
  bool collect();
  void commit();

  mpi::Communicator world, group;
  bool writes;
  mpi::Communicator writers;
  FileSchema schema;
  StoreOptions options;
  TravelRule rule;
  std::string path;                ///< of the file itself, behind all links
  std::optional<LockFile> lock;    ///< on the first rank of all
  std::optional<SharedFile> file;  ///< on ranks that write
  std::vector<bool> unfinished;
  OpenBlock block;
  std::pair<std::uint64_t, std::shared_ptr<const std::vector<int>>> layers;  ///< of the point added last
  Ledger ledger;                                                             ///< on a group's first rank
  std::vector<mpi::PendingSend> sends;                                       ///< on the other ranks
  Tally found;
  Tally tally;
};

void ResultStore::State::open_file(const std::filesystem::path& name) {
  std::vector<std::uint64_t> forget;
  mpi::on_root(world, [&] {
    const std::filesystem::path target = followed(name);
    require_no_directory(target);
    lock = LockFile::acquire(target);
    path = target.string();
    Continuation begin;
    beginning(path, [&] {
      begin = create_or_continue(target, schema,
                                 {options.allow_mixed_numerics, options.retry_failed, options.wanted});
    });
    unfinished = std::move(begin.unfinished);
    forget = std::move(begin.forget);
    found = begin.found;
    options.launch[names::launch_found] = std::to_string(begin.finished);
    options.launch[names::launch_wanted] = std::to_string(std::ranges::count(unfinished, true));
  });
  path = world.broadcast(path);
  unfinished = broadcast_bits(world, unfinished, schema.points);
  found = world.broadcast(found);

  mpi::on_each(world, [&] {
    if (writes) file.emplace(path, writers, schema.columns);
  });
  mpi::on_root(world, [&] {  // before anybody measures
    beginning(path, [&] {
      file->forget(forget);
      file->record_launch(options.launch);
    });
  });
}

/// Parts of one point come one after the other and share the list.
std::shared_ptr<const std::vector<int>> ResultStore::State::layers_of(std::uint64_t point) {
  if (!layers.second || layers.first != point) {
    layers = {point, std::make_shared<const std::vector<int>>(store::layers_of(schema, point))};
  }
  return layers.second;
}

void ResultStore::State::close_block() {
  if (block.empty()) return;
  const std::vector<MeasuredPoint> points = block.take();
  going_on(path, "write " + of(points), [&] { write_own_rows(points); });
  hand_in(pieces_of(points));
}

/// Columns whose pieces are large enough to be written from here, and to the disk before anybody hears of
/// them.
void ResultStore::State::write_own_rows(const std::vector<MeasuredPoint>& points) const {
  bool wrote = false;
  for (std::size_t c = 0; c < schema.columns.size(); ++c) wrote |= write_own_rows_of(c, points);
  if (wrote) file->sync();
}

bool ResultStore::State::write_own_rows_of(std::size_t c, const std::vector<MeasuredPoint>& points) const {
  const stats::Column& column = schema.columns[c];
  bool wrote = false;
  std::vector<double> joined;
  for (std::size_t first = 0; first < points.size();) {
    const MeasuredPoint& head = points[first];
    const std::size_t end = file->ragged() ? first + 1 : end_of_equal_rows(points, first);
    if (head.rows.rows() > 0 && !rule.travels(column, head.layers->size())) {
      const std::span<const double> values =
          joined_values(std::span(points).subspan(first, end - first), int(c), joined);
      file->write_piece(column, head.point, end - first, head.rows.first_row(), head.rows.rows(), values);
      wrote = true;
    }
    first = end;
  }
  return wrote;
}

std::vector<Piece> ResultStore::State::pieces_of(const std::vector<MeasuredPoint>& points) const {
  std::vector<Piece> pieces;
  for (const MeasuredPoint& it : points) {
    pieces.push_back(piece_of(it.point, schema.point_hash(it.point), it.rows, it.failure, *it.layers, rule,
                              leads() && it.is_last));
    pieces.back().is_last = it.is_last;
  }
  return pieces;
}

void ResultStore::State::hand_in(const std::vector<Piece>& pieces) {
  if (!leads()) return sends.push_back(group.send(packed(pieces), 0, piece_tag));
  for (const Piece& piece : pieces) ledger.add(piece);
  commit();
}

bool ResultStore::State::collect() {
  bool any = false;
  while (const std::optional<mpi::Message> message = group.poll(piece_tag)) {
    for (const Piece& piece : unpacked(message->bytes, schema.columns.size())) ledger.add(piece);
    any = true;
  }
  return any;
}

void ResultStore::State::commit() {
  const std::vector<FinishedPoint> points = ledger.take_finished();
  going_on(path, "write " + of(points), [&] {
    log_failures(path, schema, points);
    file->commit(points);
  });
  for (const FinishedPoint& point : points) ++(point.failure ? tally.failed : tally.done);
}

ResultStore::ResultStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ResultStore::ResultStore(ResultStore&&) noexcept = default;
ResultStore& ResultStore::operator=(ResultStore&&) noexcept = default;
ResultStore::~ResultStore() = default;

ResultStore ResultStore::open(const mpi::Communicator& world, const mpi::Communicator& group,
                              const std::filesystem::path& path, const FileSchema& schema,
                              StoreOptions options) {
  auto state = std::make_unique<State>(world, group, schema, std::move(options));
  state->open_file(path);
  return ResultStore(std::move(state));
}

const std::vector<bool>& ResultStore::unfinished() const { return state_->unfinished; }

void ResultStore::add_part(std::uint64_t point, stats::PointTable&& rows) {
  take(point, std::move(rows), {}, false);
}

void ResultStore::add(std::uint64_t point, stats::PointTable&& rows, Failure failure) {
  take(point, std::move(rows), failure, true);
}

void ResultStore::add_failed(std::uint64_t point, Failure failure) {
  State& s = *state_;
  expect(s.leads() && s.unfinished[point], "a point to be measured, failed by its group's first rank");
  s.ledger.add_failed(point, failure);
  if (s.ledger.failed_values() >= most_failed_values) s.commit();
}

void ResultStore::take(std::uint64_t point, stats::PointTable&& rows, Failure failure, bool is_last) {
  State& s = *state_;
  expect(point < s.schema.points && s.unfinished[point], "a point of the sweep that is still to be measured");
  expect(rows.columns().size() == s.schema.columns.size(), "the columns of the schema");
  unify_nans(rows.all());

  s.block.add({point, std::move(rows), failure, s.layers_of(point), is_last});
  if (s.block.is_full(s.options)) s.close_block();
  progress();
}

void ResultStore::flush() {
  state_->close_block();
  progress();
}

void ResultStore::progress() {
  State& s = *state_;
  if (s.block.is_old(s.options)) s.close_block();
  if (s.leads()) {
    if (s.collect() || s.ledger.has_finished()) s.commit();
  } else {
    std::erase_if(s.sends, [](mpi::PendingSend& send) { return send.ready(); });
  }
}

void ResultStore::finish() {
  State& s = *state_;
  flush();
  while (s.ledger.waiting() > 0 || !s.sends.empty()) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    progress();
  }
}

void ResultStore::close() {
  State& s = *state_;
  finish();
  going_on(s.path, "close the file", [&] {
    if (s.file) s.file->close();
  });
  s.file.reset();
  s.world.barrier();  // the lock outlives every writer
  s.lock.reset();
  s.world.barrier();  // and is gone for every rank
}

Tally ResultStore::found() const { return state_->found; }
Tally ResultStore::tally() const { return state_->tally; }

}  // namespace gradflow::store
