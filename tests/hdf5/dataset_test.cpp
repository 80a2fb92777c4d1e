#include "gradflow/hdf5/dataset.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/hdf5/scale.hpp"

namespace gradflow::hdf5 {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class AFile : public testing::Test {
 protected:
  AFile() : directory(fs::temp_directory_path() / ("gradflow_hdf5_" + std::to_string(getpid()))) {
    fs::create_directories(directory);
    path = directory / "file.h5";
  }
  ~AFile() override { fs::remove_all(directory); }

  std::string message_of(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  fs::path directory, path;
};

template <class T>
class NumbersOf : public AFile {};
using NumberTypes = testing::Types<double, std::int8_t, std::int32_t, std::int64_t, std::uint64_t>;
TYPED_TEST_SUITE(NumbersOf, NumberTypes);

TYPED_TEST(NumbersOf, EveryTypeComeBackAsWritten) {
  const std::vector<TypeParam> values{TypeParam(1),  TypeParam(2), TypeParam(3),
                                      TypeParam(-4), TypeParam(5), std::numeric_limits<TypeParam>::max()};
  {
    const File file = File::create(this->path);
    Dataset::create<TypeParam>(file, "x", {2, 3}, Space::unfilled)
        .template write<TypeParam>({{0, 0}, {2, 3}}, values);
  }

  const File file = File::open_read_only(this->path);
  const Dataset x = Dataset::open(file, "x");

  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(x.template read<TypeParam>(), values);
}

TEST_F(AFile, HoldsTheSlabsThatWereWrittenAndZeroElsewhere) {
  const File file = File::create(path);
  const Dataset x = Dataset::create<double>(file, "x", {3, 4}, Space::zero);

  x.write<double>({{1, 2}, {2, 2}}, std::vector<double>{1, 2, 3, 4});

  EXPECT_THAT(x.read<double>(), ElementsAre(0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4));
  EXPECT_THAT(x.read<double>({{1, 1}, {1, 3}}), ElementsAre(0, 1, 2));
}

TEST_F(AFile, RefusesASlabBeyondItsShape) {
  const File file = File::create(path);
  const Dataset x = Dataset::create<double>(file, "x", {3, 4}, Space::zero);

  EXPECT_THROW(x.read<double>({{2, 0}, {2, 4}}), BrokenPromise);
  EXPECT_THROW(x.write<double>({{0, 0}, {1, 2}}, std::vector<double>{1, 2, 3}), BrokenPromise);
}

TEST_F(AFile, HoldsTextsOfAnyLengthInUtf8) {
  const std::vector<std::string> texts{"", "tanh", "\xcf\x83_w", std::string(100000, 'x')};
  const File file = File::create(path);

  const Dataset x = Dataset::create_texts(file, "x", {4});
  x.write_texts(whole(x.shape()), texts);

  EXPECT_EQ(x.kind(), Kind::text);
  EXPECT_EQ(x.read_texts(whole(x.shape())), texts);
  EXPECT_THAT(x.read_texts({{1}, {1}}), ElementsAre("tanh"));
}

TEST_F(AFile, HoldsAttributesInTheOrderOfTheirCreation) {
  const std::string large(300000, 's');
  {
    const File file = File::create(path);
    write_attribute(file.get(), "title", "Order to chaos");
    write_attribute(file.get(), "empty", "");
    write_attribute(file.get(), "large", large);
    write_attribute(file.get(), "count", std::int64_t(-3));
    write_attribute(file.get(), "bound", 0.01);
    for (int i = 0; i < 20; ++i) write_attribute(file.get(), fmt::format("a{}", 20 - i), std::int64_t(i));
  }

  const File file = File::open_read_only(path);

  EXPECT_EQ(read_text_attribute(file.get(), "title"), "Order to chaos");
  EXPECT_EQ(read_text_attribute(file.get(), "empty"), "");
  EXPECT_EQ(read_text_attribute(file.get(), "large"), large);
  EXPECT_EQ(read_number_attribute<std::int64_t>(file.get(), "count"), -3);
  EXPECT_EQ(read_number_attribute<double>(file.get(), "bound"), 0.01);
  const std::vector<std::string> names = attribute_names(file.get());
  EXPECT_THAT(std::vector(names.begin(), names.begin() + 6),
              ElementsAre("title", "empty", "large", "count", "bound", "a20"));
}

TEST_F(AFile, ListsDatasetsInTheOrderOfTheirCreation) {
  const File file = File::create(path);
  for (int i = 20; i > 0; --i) Dataset::create<double>(file, fmt::format("v{}", i), {1}, Space::zero);

  EXPECT_EQ(file.names().size(), 20);
  EXPECT_EQ(file.names().front(), "v20");
  EXPECT_EQ(file.names().back(), "v1");
}

TEST_F(AFile, NamesTheAxesOfItsDatasets) {
  const File file = File::create(path);
  const Dataset point = create_axis(file, "point", 5);
  const Dataset layer = Dataset::create<std::int32_t>(file, "layer", {3}, Space::zero);
  make_scale(layer);
  const Dataset x = Dataset::create<double>(file, "x", {5, 3, 2}, Space::unfilled);

  attach_scale(x, point, 0);
  attach_scale(x, layer, 1);

  EXPECT_THAT(axis_names(x), ElementsAre("point", "layer", ""));
}

TEST_F(AFile, IsTheSameToTheLastByteWhenMadeTwice) {
  const auto make = [](const fs::path& where) {
    const File file = File::create(where);
    const Dataset point = create_axis(file, "point", 5);
    for (int i = 0; i < 40; ++i) {
      const Dataset x = Dataset::create<double>(file, fmt::format("x{}", i), {5}, Space::zero);
      attach_scale(x, point, 0);
      write_attribute(x.get(), "units", "1");
    }
    const Dataset texts = Dataset::create_texts(file, "texts", {3});
    texts.write_texts({{0}, {3}}, {"a", "bb", "ccc"});
  };
  const auto bytes_of = [](const fs::path& where) {
    std::ifstream stream(where, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };

  make(path);
  sleep(1);  // a stored time of day would show
  make(directory / "again.h5");

  EXPECT_GT(bytes_of(path).size(), 1000);
  EXPECT_TRUE(bytes_of(path) == bytes_of(directory / "again.h5"));
}

TEST_F(AFile, TakesNoSpaceForRowsThatWereNotWritten) {
  {
    const File file = File::create(path);
    Dataset::create<double>(file, "x", {1000000, 1000}, Space::unfilled);
  }

  EXPECT_GT(fs::file_size(path), 8e9);
  struct stat file = {};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_LT(file.st_blocks * 512, 100000);
}

TEST_F(AFile, IsNeverOverwritten) {
  std::ofstream(path) << "precious";

  EXPECT_THAT(message_of([&] { File::create(path); }), HasSubstr("cannot create " + path.string()));
  EXPECT_EQ(fs::file_size(path), 8);
}

TEST_F(AFile, SaysWhyItCannotBeOpened) {
  EXPECT_THAT(message_of([&] { File::open_read_only(path); }), HasSubstr("No such file or directory"));

  std::ofstream(path) << "no HDF5";
  EXPECT_THAT(message_of([&] { File::open_read_only(path); }), HasSubstr("file signature not found"));
  EXPECT_FALSE(File::is_hdf5(path));
}

TEST_F(AFile, TellsAMissingDatasetByItsName) {
  const File file = File::create(path);

  testing::internal::CaptureStderr();
  const std::string message = message_of([&] { Dataset::open(file, "nothing"); });

  EXPECT_THAT(message, HasSubstr("cannot open dataset nothing (HDF5: "));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // the library prints nothing by itself
}

TEST(PartsOfASlab, CoverItOnceInTheOrderOfMemory) {
  const Slab slab{{5, 1, 0}, {7, 9, 4}};

  for (const std::size_t most : {1, 3, 4, 36, 100, 1000}) {
    std::size_t next = 0;
    for (const Part& part : parts_of(slab, most)) {
      EXPECT_LE(size_of(part.slab.count), most);
      EXPECT_EQ(part.offset, next);
      const Shape from{part.slab.start[0] - 5, part.slab.start[1] - 1, part.slab.start[2]};
      EXPECT_EQ((from[0] * 9 + from[1]) * 4 + from[2], next);  // its place in the slab, in C order
      next += size_of(part.slab.count);
    }
    EXPECT_EQ(next, size_of(slab.count));
  }
}

TEST(PartsOfASlab, AreOneIfItIsSmallEnough) {
  EXPECT_EQ(parts_of({{0, 0}, {64, 1000}}, 64000).size(), 1);
  EXPECT_EQ(parts_of({{}, {}}, 1).size(), 1);
  EXPECT_TRUE(parts_of({{0, 0}, {0, 1000}}, 1).empty());
}

}  // namespace
}  // namespace gradflow::hdf5
