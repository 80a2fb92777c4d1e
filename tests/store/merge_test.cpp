#include "gradflow/store/merge.hpp"

#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/store/result_file.hpp"
#include "gradflow/store/result_store.hpp"
#include "gradflow/store/verification.hpp"
#include "store/sample_sweep.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Which points of a sweep are measured, and what is added to every value.
struct Measuring {
  std::uint64_t first = 0;
  std::uint64_t end = UINT64_MAX;
  double shift = 0;
  std::string launch_start = "2026-01-01T00:00:00Z";
};

class SeveralFiles : public testing::Test {
 protected:
  SeveralFiles() : world(mpi::Communicator::world()), directory("merge_test") {
    fs::remove_all(directory);
    fs::create_directories(directory);
  }
  ~SeveralFiles() override { fs::remove_all(directory); }

  fs::path make(const char* name, const SampleSweep& sweep, const Measuring& measuring = {}) {
    const fs::path path = directory / name;
    FileSchema schema = sweep.schema();
    schema.launch_facts = {"launch_start"};
    ResultStore store =
        ResultStore::open(world, world, path, schema, {.launch = {{"launch_start", measuring.launch_start}}});
    for (std::uint64_t point = measuring.first; point < std::min(measuring.end, sweep.points); ++point) {
      if (!store.unfinished()[point]) continue;
      stats::PointTable rows = sweep.measured(point, 0, 1);
      for (double& value : rows.all()) value += measuring.shift;
      store.add(point, std::move(rows), {});
    }
    store.close();
    return path;
  }

  std::string refusal(const std::vector<fs::path>& in, Prefer prefer = Prefer::error) {
    try {
      merge(directory / "refused.h5", in, prefer, false);
    } catch (const UserError& error) {
      EXPECT_FALSE(fs::exists(directory / "refused.h5"));
      EXPECT_FALSE(fs::exists(directory / "refused.h5.lock"));
      return error.what();
    }
    return "not refused";
  }

  mpi::Communicator world;
  fs::path directory;
};

class Joining : public SeveralFiles, public testing::WithParamInterface<bool> {};

TEST_P(Joining, ShardsGivesWhatOneRunMeasures) {
  const SampleSweep sweep{.points = 90, .ragged = GetParam(), .run_facts = true};
  const fs::path whole = make("whole.h5", sweep);
  const fs::path front = make("front.h5", sweep, {.end = 40});
  const fs::path back = make("back.h5", sweep, {.first = 40});

  const Joined joined = merge(directory / "joined.h5", {front, back}, Prefer::error, false);

  EXPECT_EQ(joined.done, 90u);
  EXPECT_EQ(joined.conflicts, 0u);
  const ResultFile file = ResultFile::open(directory / "joined.h5");
  EXPECT_EQ(statistics_hash(file), statistics_hash(ResultFile::open(whole)));
  EXPECT_TRUE(verify(file).complete());
}

TEST_P(Joining, RunsOfTwoSweepsHoldsThePointsOfBoth) {
  const SampleSweep all{.points = 12, .first_seed = 0, .ragged = GetParam()};
  const fs::path whole = make("whole.h5", all);
  const fs::path low = make("low.h5", {.points = 8, .first_seed = 0, .ragged = GetParam()});
  const fs::path high = make("high.h5", {.points = 7, .first_seed = 5, .ragged = GetParam()});

  const Joined joined = merge(directory / "joined.h5", {low, high}, Prefer::error, false);

  EXPECT_EQ(joined.points, 12u);
  EXPECT_EQ(joined.done, 12u);
  const ResultFile file = ResultFile::open(directory / "joined.h5");
  EXPECT_EQ(file.point_hashes(), ResultFile::open(whole).point_hashes());
  EXPECT_EQ(file.numbers("seed"), ResultFile::open(whole).numbers("seed"));
  EXPECT_TRUE(verify(file).complete());
}

INSTANTIATE_TEST_SUITE_P(Shapes, Joining, testing::Bool(),
                         [](const auto& shape) { return shape.param ? "ragged" : "rectangle"; });

TEST_F(SeveralFiles, ThatDifferInAResultAreRefusedUnlessOneIsPreferred) {
  const SampleSweep sweep{.points = 3};
  const fs::path newer = make("newer.h5", sweep, {.launch_start = "2026-02-01T00:00:00Z"});
  const fs::path older = make("older.h5", sweep, {.shift = 0.5});
  const auto value_in = [](const fs::path& path) {
    return ResultFile::open(path).read("theory_chi1", 2).front();
  };

  EXPECT_THAT(refusal({newer, older}), HasSubstr("different results of one point (sigma_w = 0.5"));
  EXPECT_EQ(merge(directory / "first.h5", {older, newer}, Prefer::first, false).conflicts, 3u);
  EXPECT_EQ(value_in(directory / "first.h5"), value_in(older));
  merge(directory / "newest.h5", {older, newer}, Prefer::newer, false);
  EXPECT_EQ(value_in(directory / "newest.h5"), value_in(newer));
  EXPECT_THAT(refusal({older, make("deeper.h5", {.points = 3, .depth = 14})}), HasSubstr("other layers"));
}

TEST_F(SeveralFiles, NeverOverwriteOne) {
  const fs::path file = make("one.h5", {.points = 2});

  EXPECT_THROW(merge(file, {file}, Prefer::error, false), UserError);
  EXPECT_THROW(finalize(file, file), UserError);
}

TEST_F(SeveralFiles, FinalizedFileHasNanWhereNothingWasMeasured) {
  const SampleSweep sweep{.points = 200, .run_facts = true};
  const fs::path part = make("part.h5", sweep, {.end = 130});

  const Joined joined = finalize(part, directory / "archive.h5");

  EXPECT_EQ(joined.done, 130u);
  const ResultFile file = ResultFile::open(directory / "archive.h5");
  const ResultFile original = ResultFile::open(part);
  EXPECT_EQ(statistics_hash(file), statistics_hash(original));
  for (const stats::Column& column : file.columns()) {
    EXPECT_EQ(file.read(column.name, 129), original.read(column.name, 129));
    for (const double value : file.read(column.name, 130)) EXPECT_TRUE(std::isnan(value)) << column.name;
  }
  EXPECT_EQ(make("archive.h5", sweep), directory / "archive.h5");  // continues in a file of its own
  EXPECT_TRUE(verify(ResultFile::open(directory / "archive.h5")).complete());
}

TEST_F(SeveralFiles, TornRowsAreFoundAndLeftOut) {
  const SampleSweep sweep{.points = 70};
  const fs::path path = make("torn.h5", sweep);
  {
    const auto file = hdf5::File::open_shared(path, world);
    auto column = hdf5::Dataset::open(file, "dgrad_log10_norm_mean");
    column.write<double>({{66, 3}, {1, 1}}, std::vector<double>{0.25});
  }

  const Verification found = verify(ResultFile::open(path));

  EXPECT_EQ(found.torn, std::vector<std::uint64_t>{66});
  EXPECT_EQ(found.done, 69u);
  EXPECT_FALSE(found.complete());
  EXPECT_EQ(merge(directory / "joined.h5", {path}, Prefer::error, false).done, 69u);
}

}  // namespace
}  // namespace gradflow::store
