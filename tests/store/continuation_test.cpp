#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/store/result_file.hpp"
#include "gradflow/store/result_store.hpp"
#include "store/sample_sweep.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class AnExistingFile : public testing::Test {
 protected:
  AnExistingFile()
      : world(mpi::Communicator::world()), directory(fmt::format("continuation_{}", world.size())) {
    on_first_rank([&] {
      fs::remove_all(directory);
      fs::create_directories(directory);
    });
    path = directory / "results.h5";
  }
  ~AnExistingFile() override {
    on_first_rank([&] { fs::remove_all(directory); });
  }

  template <class Act>
  void on_first_rank(const Act& act) {
    world.barrier();
    if (world.rank() == 0) act();
    world.barrier();
  }

  void run(const SampleSweep& sweep, std::uint64_t end = UINT64_MAX) {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema());
    measure(store, sweep, world, 1, 0, end);
    store.close();
  }

  std::vector<bool> unfinished(const FileSchema& schema, StoreOptions options = {}) {
    ResultStore store = ResultStore::open(world, world, path, schema, std::move(options));
    const std::vector<bool> bits = store.unfinished();
    store.close();
    return bits;
  }

  /// What every rank says of the attempt; the attempt changes nothing on the disk.
  std::string refusal(const FileSchema& schema) {
    const auto before = listing();
    std::string message = "not refused";
    try {
      ResultStore::open(world, world, path, schema).close();
    } catch (const UserError& error) {
      message = error.what();
    }
    world.barrier();
    EXPECT_EQ(listing(), before);
    EXPECT_TRUE(world.all_equal(std::hash<std::string>()(message)));
    return message;
  }

  std::vector<std::string> listing() {
    world.barrier();
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      names.push_back(
          fmt::format("{} {}", entry.path().string(), entry.is_directory() ? 0 : entry.file_size()));
    }
    std::sort(names.begin(), names.end());
    world.barrier();
    return names;
  }

  mpi::Communicator world;
  fs::path directory, path;
};

TEST_F(AnExistingFile, GivesItsPointsToASweepThatHasMore) {
  const SampleSweep large{.points = 30, .first_seed = 0};
  const SampleSweep small{.points = 7, .first_seed = 12};  // seeds 12 to 18
  run(large);
  const std::uint64_t made_at_once = statistics_hash(ResultFile::open(path));
  on_first_rank([&] { fs::remove(path); });

  run(small, 5);
  const std::vector<bool> left = unfinished(large.schema());

  for (std::uint64_t point = 0; point < 30; ++point) EXPECT_EQ(left[point], point < 12 || point >= 17);
  run(large);
  EXPECT_EQ(statistics_hash(ResultFile::open(path)), made_at_once);
}

TEST_F(AnExistingFile, GivesItsPointsToARaggedSweep) {
  const SampleSweep small{.points = 1, .first_seed = 4};  // depth 12, as point 4 of the ragged sweep has
  const SampleSweep large{.points = 9, .ragged = true};
  run(small);

  const std::vector<bool> left = unfinished(large.schema());

  for (std::uint64_t point = 0; point < 9; ++point) EXPECT_EQ(left[point], point != 4);
  const ResultFile file = ResultFile::open(path);
  EXPECT_EQ(file.read("dgrad_underflow_fraction", 4), large.row(file.column("dgrad_underflow_fraction"), 4));
  EXPECT_TRUE(file.intact(4, 1).front());
}

TEST_F(AnExistingFile, KeepsItsLaunchesWhenItGrows) {
  const SampleSweep small{.points = 2};
  unfinished(small.schema(), {.launch = {{"launch_job", "first"}}});
  run(small);

  unfinished(SampleSweep{.points = 4}.schema(), {.launch = {{"launch_job", "third"}}});

  const auto launches = ResultFile::open(path).launches();
  ASSERT_EQ(launches.size(), 3);
  EXPECT_EQ(launches[0].at("launch_job"), "first");
  EXPECT_EQ(launches[2].at("launch_job"), "third");
}

TEST_F(AnExistingFile, OfAnotherSweepIsRefusedWithItsFirstPointThatDoesNotBelong) {
  run({.points = 7, .first_seed = 12});

  const std::string message =
      refusal(SampleSweep{.points = 16, .first_seed = 0}.schema());  // lacks seeds 16 to 18

  EXPECT_THAT(message, HasSubstr(path.string() + " belongs to another sweep: its point 4 (sigma_w = 4.5, "
                                                 "activation = tanh, seed = 16) is measured"));
}

TEST_F(AnExistingFile, OfAnotherSweepIsReplacedIfNothingInItIsFinished) {
  run({.points = 7, .first_seed = 12}, 0);

  FileSchema schema = SampleSweep{.points = 3}.schema();
  schema.columns.pop_back();  // other statistics are no reason to keep what is empty

  EXPECT_EQ(unfinished(schema), std::vector<bool>(3, true));
  EXPECT_EQ(ResultFile::open(path).points(), 3);
}

TEST_F(AnExistingFile, WithOtherStatisticsIsRefused) {
  run({.points = 3});
  FileSchema schema = SampleSweep{.points = 3}.schema();
  schema.columns.pop_back();

  EXPECT_THAT(refusal(schema), HasSubstr("stores other statistics than this sweep asks for (it has "
                                         "lyapunov_exponent, the sweep has not)"));
}

/// Columns that a sweep has when some of its networks normalise.
stats::Columns of_normalisations() {
  return {{"norm_scale_grad_log10_norm", "gradient of scales", "1", "", "", true, "", 1, false},
          {"norm_underflow_fraction", "share lost", "1", "", "", true, "format", 3, false},
          {"norm_count", "normalisations", "1", "", "", false, "", 1, false}};
}

TEST_F(AnExistingFile, TakesColumnsThatItsPointsHaveNot) {
  for (const bool ragged : {false, true}) {
    on_first_rank([&] { fs::remove(path); });
    const SampleSweep small{.points = 3, .ragged = ragged}, large{.points = 5, .ragged = ragged};
    run(small);
    FileSchema schema = large.schema();
    for (const stats::Column& column : of_normalisations()) schema.columns.push_back(column);

    EXPECT_EQ(unfinished(schema), (std::vector<bool>{false, false, false, true, true}));

    const ResultFile file = ResultFile::open(path);
    EXPECT_EQ(file.intact(0, 3), std::vector<bool>(3, true));
    for (const stats::Column& column : of_normalisations()) {
      const std::vector<double> values = file.read(column.name, 0, 3);
      EXPECT_EQ(std::ranges::count_if(values, [](double value) { return std::isnan(value); }), values.size());
    }
    EXPECT_EQ(file.read("lyapunov_exponent", 2), large.row(file.column("lyapunov_exponent"), 2));
  }
}

TEST_F(AnExistingFile, WithoutStatisticsThatItsPointsWouldHaveIsRefused) {
  run({.points = 3});
  FileSchema schema = SampleSweep{.points = 3}.schema();
  schema.columns.push_back(of_normalisations().front());
  schema.columns_of = [](std::uint64_t point) {
    return point < 2 ? std::vector<std::string>() : std::vector<std::string>{"norm_scale_grad_log10_norm"};
  };

  EXPECT_THAT(refusal(schema),
              HasSubstr("it has no norm_scale_grad_log10_norm of point 2 (sigma_w = 1, activation = tanh, "));
}

TEST_F(AnExistingFile, WithOtherLayersIsRefused) {
  run({.points = 3});
  FileSchema schema = SampleSweep{.points = 3}.schema();
  schema.layers = std::vector<int>{1, 12};

  EXPECT_THAT(refusal(schema), HasSubstr("stores other layers of point 0 (sigma_w = 0.5"));
}

TEST_F(AnExistingFile, FromOtherArithmeticIsRefusedUnlessAllowed) {
  run({.points = 3}, 2);
  FileSchema schema = SampleSweep{.points = 3}.schema();
  schema.numerics_identity = "gradflow 0.1.0, OpenBLAS 0.3.21 SkylakeX, avx512, float32";
  schema.openblas_core = "SkylakeX";

  EXPECT_THAT(refusal(schema),
              AllOf(HasSubstr("set OPENBLAS_CORETYPE=Haswell"), HasSubstr("--allow-mixed-numerics")));
  schema.openblas_core = "Haswell";
  EXPECT_THAT(refusal(schema), HasSubstr("write to another file"));
  EXPECT_EQ(unfinished(schema, {.allow_mixed_numerics = true}), (std::vector<bool>{false, false, true}));
}

TEST_F(AnExistingFile, ThatMixesArithmeticSaysSoAndIsRefusedUnlessAllowedAgain) {
  const SampleSweep sweep{.points = 3};
  run(sweep, 2);
  FileSchema other = sweep.schema();
  other.numerics_identity = "gradflow 0.1.0, OpenBLAS 0.3.21 SkylakeX, avx512, float32";
  unfinished(other, {.allow_mixed_numerics = true});

  EXPECT_EQ(ResultFile::open(path).attribute("numerics_identity"), "mixed");
  for (const FileSchema& schema : {other, sweep.schema()}) {
    EXPECT_THAT(refusal(schema), AllOf(HasSubstr("it says \"mixed\""), HasSubstr("write to another file")));
  }
  EXPECT_EQ(unfinished(other, {.allow_mixed_numerics = true}), (std::vector<bool>{false, false, true}));
}

TEST_F(AnExistingFile, WithADamagedRowMeasuresItAgain) {
  const SampleSweep sweep{.points = 5};
  run(sweep);
  const std::uint64_t sound = statistics_hash(ResultFile::open(path));
  {
    hdf5::File file = hdf5::File::open_shared(path, world);
    hdf5::Dataset rows = hdf5::Dataset::open(file, "dgrad_log10_norm_mean");
    if (world.rank() == 0) rows.write<double>({{3, 1}, {1, 1}}, std::vector<double>{1e300});
    rows.close();
    file.close();
  }
  world.barrier();

  EXPECT_EQ(ResultFile::open(path).intact(0, 5), (std::vector<bool>{true, true, true, false, true}));
  EXPECT_EQ(unfinished(sweep.schema()), (std::vector<bool>{false, false, false, true, false}));
  EXPECT_EQ(ResultFile::open(path).status(3),
            Status::not_done);  // were it killed now, nobody took it for done
  world.barrier();
  run(sweep);
  EXPECT_EQ(statistics_hash(ResultFile::open(path)), sound);
}

TEST_F(AnExistingFile, ThatIsNotOursIsRefused) {
  const FileSchema schema = SampleSweep{}.schema();
  on_first_rank([&] { std::ofstream(path) << "the only copy of a thesis"; });
  EXPECT_THAT(refusal(schema), HasSubstr("results.h5 is not a gradflow result file: it is no HDF5 file"));

  on_first_rank([&] {
    fs::remove(path);
    hdf5::Dataset::create<double>(hdf5::File::create(path), "x", {3}, hdf5::Space::zero);
  });
  EXPECT_THAT(refusal(schema), HasSubstr("results.h5 is not a gradflow result file: it lacks the attribute"));
}

TEST_F(AnExistingFile, ThatIsTruncatedIsRefused) {
  run({.points = 5});
  on_first_rank([&] { fs::resize_file(path, fs::file_size(path) / 2); });

  EXPECT_THAT(refusal(SampleSweep{.points = 5}.schema()), HasSubstr("results.h5 is damaged or truncated: "));
}

TEST_F(AnExistingFile, OfANewerGradflowIsRefused) {
  on_first_rank([&] {
    const hdf5::File file = hdf5::File::create(path);
    hdf5::write_attribute(file.get(), "gradflow_schema", schema_version + 1);
  });

  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("was written by a newer gradflow"));
}

TEST_F(AnExistingFile, IsNeverADirectory) {
  path = directory;

  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("is a directory; give the name of a file"));
}

TEST_F(AnExistingFile, CannotBeMadeWhereNothingCanBeWritten) {
  path = directory / "nowhere" / "results.h5";
  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("No such file or directory"));

  if (geteuid() == 0) return;  // the superuser may write everywhere
  path = directory / "results.h5";
  on_first_rank([&] { fs::permissions(directory, fs::perms::owner_read | fs::perms::owner_exec); });
  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("Permission denied"));
  on_first_rank([&] { fs::permissions(directory, fs::perms::owner_all); });
}

TEST_F(AnExistingFile, IsNotMadeForASweepThatHasOnePointTwice) {
  FileSchema schema = SampleSweep{.points = 9}.schema();
  schema.point_hash = [](std::uint64_t point) { return point % 8; };

  EXPECT_THAT(refusal(schema), HasSubstr("points 0 and 8 of the sweep are the same"));
}

TEST_F(AnExistingFile, IsMadeAfreshWhereARunWasKilledWhileMakingIt) {
  const fs::path part = directory / "results.h5.part";
  const std::string half_written[] = {"", std::string(4096, '\0') + "data", "\x89HDF\r\n\x1a\n and more"};
  for (const std::string& text : half_written) {
    on_first_rank([&] {
      fs::remove(path);
      std::ofstream(part, std::ios::binary) << text;
    });

    run({.points = 2});

    EXPECT_EQ(ResultFile::open(path).status(1), Status::done);
    EXPECT_FALSE(fs::exists(part));
    world.barrier();
  }
}

TEST_F(AnExistingFile, IsNotMadeInPlaceOfWhatIsNotOurs) {
  const fs::path part = directory / "results.h5.part";
  on_first_rank([&] { std::ofstream(part) << "the only copy of a thesis"; });
  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("results.h5.part is in the way"));

  on_first_rank([&] {
    fs::remove(part);
    fs::create_directory(part);
  });
  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("results.h5.part is in the way"));
}

TEST_F(AnExistingFile, BehindALinkIsWrittenAndLockedItself) {
  const fs::path file = path;
  path = directory / "link.h5";
  on_first_rank([&] { fs::create_symlink("results.h5", path); });  // to nothing yet

  for (const SampleSweep& sweep : {SampleSweep{.points = 2}, SampleSweep{.points = 4}}) {
    ResultStore store = ResultStore::open(world, world, path, sweep.schema());
    EXPECT_TRUE(fs::exists(directory / "results.h5.lock"));
    EXPECT_FALSE(fs::exists(directory / "link.h5.lock"));
    measure(store, sweep, world);
    store.close();
    EXPECT_TRUE(fs::is_symlink(path));
    EXPECT_FALSE(fs::is_symlink(file));
    EXPECT_EQ(ResultFile::open(file).points(), sweep.points);
    world.barrier();
  }
}

TEST_F(AnExistingFile, BehindACircleOfLinksIsRefused) {
  path = directory / "one.h5";
  on_first_rank([&] {
    fs::create_symlink("other.h5", path);
    fs::create_symlink("one.h5", directory / "other.h5");
  });

  EXPECT_THROW(ResultStore::open(world, world, path, SampleSweep{}.schema()), UserError);
  world.barrier();
}

TEST_F(AnExistingFile, HasANameThatTheFileSystemTakes) {
  path = directory / std::string(300, 'x');

  EXPECT_THAT(refusal(SampleSweep{}.schema()), HasSubstr("File name too long"));
}

TEST_F(AnExistingFile, SaysHowManyFinishedPointsItHeld) {
  const SampleSweep sweep{.points = 5};
  run(sweep, 3);

  ResultStore store = ResultStore::open(world, world, path, sweep.schema());
  EXPECT_EQ(store.found().done, 3u);
  EXPECT_EQ(store.found().failed, 0u);
  store.close();
}

}  // namespace
}  // namespace gradflow::store
