#include "gradflow/store/result_store.hpp"

#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/hash.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/store/result_file.hpp"
#include "store/sample_sweep.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

constexpr std::size_t nothing_travels = 1;
constexpr std::size_t everything_travels = std::size_t(1) << 30;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

/// Descriptors of this process on a file.
int descriptors_on(const fs::path& path) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    count += fs::read_symlink(entry.path(), gone) == fs::canonical(path) ? 1 : 0;
  }
  return count;
}

std::string bytes_of_number(std::uint64_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

/// The sum over variables and layers of xxh64(point hash, name, layer, value bytes).
std::uint64_t contract_checksum(const SampleSweep& sweep, std::uint64_t point) {
  std::uint64_t sum = 0;
  for (const stats::Column& column : sweep.schema().columns) {
    for (const int layer : column.per_layer ? sweep.layers(point) : std::vector<int>{0}) {
      std::string bytes =
          bytes_of_number(sweep.hash(point)) + column.name + bytes_of_number(std::uint64_t(layer));
      for (int index = 0; index < column.extent; ++index) {
        bytes += bytes_of_number(std::bit_cast<std::uint64_t>(sweep.value(column, point, layer, index)));
      }
      sum += xxh64(bytes);
    }
  }
  return sum;
}

/// A directory that all ranks see and rank 0 removes.
class AResultStore : public testing::Test {
 protected:
  AResultStore()
      : world(mpi::Communicator::world()), directory(fmt::format("result_store_{}", world.size())) {
    if (world.rank() == 0) fs::remove_all(directory), fs::create_directories(directory);
    world.barrier();
    path = directory / "results.h5";
  }
  ~AResultStore() override {
    world.barrier();
    if (world.rank() == 0) fs::remove_all(directory);
  }

  /// Runs what is left of the sweep on `groups` groups of world.size() / groups stages.
  void run(const SampleSweep& sweep, int groups = 1, StoreOptions options = {},
           std::uint64_t end = UINT64_MAX) {
    const int number = world.rank() * groups / world.size();
    const mpi::Communicator group = world.split(number, world.rank());
    ResultStore store = ResultStore::open(world, group, path, sweep.schema(), options);
    measure(store, sweep, group, groups, number, end);
    store.close();
  }

  /// @pre the sweep is complete
  void expect_measurements_of(const SampleSweep& sweep) {
    const ResultFile file = ResultFile::open(path);
    for (std::uint64_t point = 0; point < sweep.points; ++point) {
      ASSERT_EQ(file.status(point), Status::done) << "point " << point;
      EXPECT_EQ(file.layers_of(point), sweep.layers(point));
      for (const stats::Column& column : file.columns()) {
        EXPECT_EQ(file.read(column.name, point), sweep.row(column, point))
            << column.name << " of point " << point;
      }
    }
    EXPECT_THAT(file.intact(0, sweep.points), testing::Each(true));
  }

  mpi::Communicator world;
  fs::path directory, path;
};

/// Rows first .. first + rows of a table, with the columns that are not per layer.
stats::PointTable part_of(const stats::PointTable& whole, int first, int rows) {
  stats::PointTable part(std::make_shared<const stats::Columns>(whole.columns()), first, rows);
  for (int c = 0; c < int(whole.columns().size()); ++c) {
    const stats::Column& column = whole.columns()[std::size_t(c)];
    const int skipped = column.per_layer ? (first - whole.first_row()) * column.extent : 0;
    std::copy_n(whole.values(c).begin() + skipped, part.values(c).size(), part.values(c).begin());
  }
  return part;
}

/// Hands over the last rows first, one at a time, until `left` are left.
void add_parts(ResultStore& store, std::uint64_t point, const stats::PointTable& whole, int left) {
  for (int row = whole.rows(); row-- > left;) {
    store.add_part(point, part_of(whole, whole.first_row() + row, 1));
  }
}

struct Cut {
  bool ragged;
  std::size_t smallest_piece_bytes;
  bool one_group;  ///< else every rank is a group of its own
};

class EveryCut : public AResultStore, public testing::WithParamInterface<Cut> {};

TEST_P(EveryCut, StoresWhatEachStageMeasured) {
  const SampleSweep sweep{.points = 70, .ragged = GetParam().ragged};  // one full block and a part of one

  run(sweep, GetParam().one_group ? 1 : world.size(),
      {.smallest_piece_bytes = GetParam().smallest_piece_bytes});

  expect_measurements_of(sweep);
}

INSTANTIATE_TEST_SUITE_P(OfTheSweep, EveryCut,
                         testing::Values(Cut{false, nothing_travels, true},
                                         Cut{false, everything_travels, true}, Cut{false, 4096, false},
                                         Cut{true, nothing_travels, true},
                                         Cut{true, everything_travels, true}, Cut{true, 4096, false}));

TEST_F(AResultStore, WritesTheSameBytesForAnyCut) {
  for (const bool ragged : {false, true}) {
    const SampleSweep sweep{.points = 20, .ragged = ragged};
    run(sweep, 1, {.smallest_piece_bytes = nothing_travels});
    const std::string first = bytes_of(path);
    const std::uint64_t first_hash = statistics_hash(ResultFile::open(path));
    world.barrier();
    if (world.rank() == 0) fs::remove(path);
    world.barrier();

    run(sweep, world.size(), {.block_points = 3});

    EXPECT_TRUE(bytes_of(path) == first);
    EXPECT_EQ(statistics_hash(ResultFile::open(path)), first_hash);
    world.barrier();
    if (world.rank() == 0) fs::remove(path);
    world.barrier();
  }
}

TEST_P(EveryCut, WritesTheSameBytesIfPointsComeInParts) {
  const SampleSweep sweep{.points = 10, .ragged = GetParam().ragged};
  run(sweep);
  const std::string in_one_piece = bytes_of(path);
  world.barrier();
  if (world.rank() == 0) fs::remove(path);
  world.barrier();

  {
    ResultStore store =
        ResultStore::open(world, world, path, sweep.schema(),
                          {.block_bytes = 200, .smallest_piece_bytes = GetParam().smallest_piece_bytes});
    for (std::uint64_t point = 0; point < sweep.points; ++point) {
      const stats::PointTable whole = sweep.measured(point, world.rank(), world.size());
      const int left = std::min(1, whole.rows());
      add_parts(store, point, whole, left);
      store.add(point, part_of(whole, whole.first_row(), left), {});
    }
    store.close();
  }

  expect_measurements_of(sweep);
  EXPECT_TRUE(bytes_of(path) == in_one_piece);
}

TEST_F(AResultStore, DoesNotCommitAPointBeforeItsLastPart) {
  const SampleSweep sweep{.points = 3};
  {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema(),
                                          {.block_bytes = 1, .smallest_piece_bytes = nothing_travels});
    measure(store, sweep, world, 1, 0, 2);
    store.finish();
    world.barrier();  // every rank has added the same points
    add_parts(store, 2, sweep.measured(2, world.rank(), world.size()), world.rank() == 0 ? 1 : 0);
    store.flush();
    world.barrier();
    for (int i = 0; i < 100; ++i) store.progress();
    world.barrier();
  }  // killed

  {
    const ResultFile file = ResultFile::open(path);
    EXPECT_EQ(file.status(1), Status::done);
    EXPECT_EQ(file.status(2), Status::not_done);
    const stats::Column& column = file.column("dgrad_log10_norm_mean");
    EXPECT_EQ(file.read(column.name, 2).back(), sweep.row(column, 2).back());  // a part is there already
  }
  world.barrier();
  run(sweep);
  expect_measurements_of(sweep);
}

TEST_F(AResultStore, MakesThePartsOfAPointThatFailsNaN) {
  const SampleSweep sweep{.points = 2};
  {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema(),
                                          {.block_bytes = 1, .smallest_piece_bytes = nothing_travels});
    const stats::PointTable whole = sweep.measured(1, world.rank(), world.size());
    add_parts(store, 1, whole, 1);
    store.add(1, part_of(whole, whole.first_row(), 1), {FailureCode::non_finite, 1, 0});
    store.close();
  }

  const ResultFile file = ResultFile::open(path);
  EXPECT_EQ(file.status(1), Status::failed);
  for (const stats::Column& column : file.columns()) {
    EXPECT_THAT(file.read(column.name, 1), testing::Each(testing::IsNan())) << column.name;
  }
}

TEST_F(AResultStore, LeavesNothingBesideTheFile) {
  run({.points = 3});

  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  EXPECT_THAT(names, ElementsAre("results.h5"));
}

TEST_F(AResultStore, LetsOnlyFirstRanksOpenTheFileOfALargeJob) {
  const SampleSweep sweep{.points = 10};

  ResultStore store = ResultStore::open(world, world, path, sweep.schema(),
                                        {.smallest_piece_bytes = nothing_travels, .most_writers = 0});
  const int open_here = descriptors_on(path);
  measure(store, sweep, world);
  store.close();

  EXPECT_EQ(open_here > 0, world.rank() == 0);
  expect_measurements_of(sweep);
}

TEST_F(AResultStore, SealsEachPointWithTheChecksumOfItsBytes) {
  const SampleSweep sweep{.points = 2};
  run(sweep);

  const ResultFile file = ResultFile::open(path);
  const auto stored = hdf5::Dataset::open(file.hdf5_file(), "checksum").read<std::uint64_t>();
  for (std::uint64_t point = 0; point < 2; ++point) EXPECT_EQ(stored[point], contract_checksum(sweep, point));
}

TEST_F(AResultStore, ContinuesAnInterruptedSweepWithAnotherCut) {
  const SampleSweep sweep{.points = 20};
  run(sweep);
  const std::uint64_t uninterrupted = statistics_hash(ResultFile::open(path));
  world.barrier();
  if (world.rank() == 0) fs::remove(path);
  world.barrier();

  run(sweep, world.size(), {}, 8);
  std::vector<bool> unfinished;
  {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema());
    unfinished = store.unfinished();
    store.close();
  }
  run(sweep);

  for (std::uint64_t point = 0; point < 20; ++point) EXPECT_EQ(unfinished[point], point >= 8);
  EXPECT_EQ(statistics_hash(ResultFile::open(path)), uninterrupted);
}

TEST_F(AResultStore, KeepsCommittedPointsWhenItIsNeverClosed) {
  const SampleSweep sweep{.points = 20};
  {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema());
    measure(store, sweep, world, 1, 0, 5);
    store.finish();
    measure(store, {.points = 7}, world);  // never written: the block is still open
    world.barrier();
  }
  world.barrier();

  const ResultFile file = ResultFile::open(path);
  for (std::uint64_t point = 0; point < 20; ++point) {
    EXPECT_EQ(file.status(point), point < 5 ? Status::done : Status::not_done);
  }
}

TEST_F(AResultStore, CommitsABlockOf64PointsByItself) {
  const SampleSweep sweep{.points = 70};
  ResultStore store = ResultStore::open(world, world, path, sweep.schema());

  measure(store, sweep, world);
  while (world.rank() == 0 && store.tally().done < 64) store.progress();
  world.barrier();

  {
    const ResultFile file = ResultFile::open(path);
    EXPECT_EQ(file.status(63), Status::done);
    EXPECT_EQ(file.status(64), Status::not_done);
  }
  world.barrier();
  store.close();
  expect_measurements_of(sweep);
}

TEST_F(AResultStore, CommitsABlockThatIsOldEnough) {
  const SampleSweep sweep{.points = 3};
  ResultStore store = ResultStore::open(world, world, path, sweep.schema(), {.block_seconds = 0.02});

  measure(store, sweep, world);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(300)) store.progress();
  world.barrier();

  EXPECT_EQ(store.tally().done, world.rank() == 0 ? 3 : 0);
  store.close();
}

TEST_F(AResultStore, CommitsABlockThatIsLargeEnough) {
  const SampleSweep sweep{.points = 3};
  ResultStore store = ResultStore::open(world, world, path, sweep.schema(), {.block_bytes = 1});

  measure(store, sweep, world);
  while (world.rank() == 0 && store.tally().done < 3) store.progress();
  world.barrier();

  EXPECT_EQ(ResultFile::open(path).status(2), Status::done);
  world.barrier();
  store.close();
}

TEST_F(AResultStore, StoresAFailedPointAsNaNWithItsReason) {
  const SampleSweep sweep{.points = 4};
  const bool last = world.rank() == world.size() - 1;
  {
    ResultStore store =
        ResultStore::open(world, world, path, sweep.schema(), {.smallest_piece_bytes = nothing_travels});
    for (std::uint64_t point = 0; point < 4; ++point) {
      const Failure failure = point == 2 && last ? Failure{FailureCode::phase_lost, 11, 5} : Failure{};
      store.add(point, sweep.measured(point, world.rank(), world.size()), failure);
    }
    store.finish();
    EXPECT_EQ(store.tally().failed, world.rank() == 0 ? 1 : 0);
    EXPECT_EQ(store.tally().done, world.rank() == 0 ? 3 : 0);
    store.close();
  }

  const ResultFile file = ResultFile::open(path);
  EXPECT_EQ(file.status(2), Status::failed);
  EXPECT_EQ(file.failure(2), (Failure{FailureCode::phase_lost, 11, 0}));
  for (const stats::Column& column : file.columns()) {
    for (const double value : file.read(column.name, 2)) EXPECT_TRUE(std::isnan(value));
    EXPECT_EQ(file.read(column.name, 3), sweep.row(column, 3));
  }
  EXPECT_THAT(file.intact(0, 4), testing::Each(true));
}

TEST_F(AResultStore, StoresOneKindOfNaN) {
  const SampleSweep sweep{.points = 1};
  {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema());
    stats::PointTable rows = sweep.measured(0, world.rank(), world.size());
    if (world.rank() == 0) rows.values(2).front() = -std::numeric_limits<double>::quiet_NaN();
    store.add(0, std::move(rows), {});
    store.close();
  }

  const double stored = ResultFile::open(path).read("theory_chi1", 0).front();

  EXPECT_TRUE(std::isnan(stored));
  EXPECT_FALSE(std::signbit(stored));
}

TEST_F(AResultStore, RemembersTheLastLaunches) {
  const SampleSweep sweep{.points = 1};
  for (int launch = 1; launch <= launches_kept + 2; ++launch) {
    const StoreOptions options{
        .launch = {{"launch_job", fmt::format("job {}", launch)}, {"launch_hosts", std::string(3000, 'h')}}};
    run(sweep, 1, options);
  }

  const auto launches = ResultFile::open(path).launches();

  ASSERT_EQ(launches.size(), launches_kept);
  EXPECT_EQ(launches.front().at("launch_job"), "job 3");
  EXPECT_EQ(launches.back().at("launch_job"), fmt::format("job {}", launches_kept + 2));
  EXPECT_EQ(launches.back().at("launch_hosts"), std::string(launch_text_bytes, 'h'));
}

TEST_F(AResultStore, RefusesAPointThatIsNotItsOwn) {
  const SampleSweep sweep{.points = 2};
  ResultStore store = ResultStore::open(world, world, path, sweep.schema());

  EXPECT_THROW(store.add(2, sweep.measured(1, world.rank(), world.size()), {}), BrokenPromise);
  store.close();
}

TEST_F(AResultStore, HoldsTheSchema) {
  run({.points = 4, .first_seed = 5});

  const ResultFile file = ResultFile::open(path);

  EXPECT_EQ(file.attribute("Conventions"), "CF-1.10");
  EXPECT_EQ(file.attribute("title"), "Order to chaos");
  EXPECT_EQ(file.attribute("saturation_threshold"), "0.01");
  EXPECT_THAT(file.swept(), ElementsAre("sigma_w", "activation", "seed"));
  EXPECT_THAT(file.fixed(), ElementsAre("width", "block"));
  EXPECT_THAT(file.numbers("sigma_w"), ElementsAre(1.75, 2.0, 2.25, 2.5));
  EXPECT_THAT(file.numbers("width"), ElementsAre(256));
  EXPECT_THAT(file.texts("seed"), ElementsAre("5", "6", "7", "8"));
  EXPECT_THAT(file.texts("activation"), ElementsAre("tanh", "erf", "tanh", "erf"));
  EXPECT_THAT(file.texts("format"), ElementsAre("fp8_e4m3", "fp16", "fp32"));
  EXPECT_EQ(file.name_of(1), "sigma_w = 2, activation = erf, seed = 6");
  EXPECT_EQ(file.describe("dgrad_log10_norm_mean", "formula"), "mean_s log10 |dE_s/dz_l|");
  EXPECT_EQ(file.describe("dgrad_log10_norm_mean", "coordinates"), "sigma_w activation seed status");
  EXPECT_EQ(file.column("dgrad_underflow_fraction").extra_dimension, "format");
  EXPECT_EQ(file.column("dgrad_underflow_fraction").extent, 3);
  EXPECT_TRUE(file.column("dgrad_underflow_fraction").per_layer);
  EXPECT_FALSE(file.column("lyapunov_exponent").per_layer);
  EXPECT_THROW(file.numbers("activation"), UserError);
  EXPECT_THROW(file.column("nothing"), UserError);
}

}  // namespace
}  // namespace gradflow::store
