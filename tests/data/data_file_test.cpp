#include "gradflow/data/data_file.hpp"

#include <cmath>
#include <zlib.h>

#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "temporary_folder.hpp"

namespace gradflow::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// 4 images of 2 x 3 bytes, 0 ... 23 times 10.
Bytes images() {
  Bytes bytes{0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3};
  for (int i = 0; i < 24; ++i) bytes.push_back(std::uint8_t(10 * i));
  return bytes;
}

Bytes labels() { return {0, 0, 8, 1, 0, 0, 0, 4, 3, 1, 4, 1}; }

std::vector<float> sample(const nn::DataSet& data, std::int64_t i) {
  std::vector<float> features(std::size_t(data.width()));
  data.copy(i, features);
  return features;
}

class DataFile : public InFolder {
 protected:
  std::filesystem::path write_packed(const std::string& name, const Bytes& bytes) const {
    const gzFile file = gzopen(path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), unsigned(bytes.size()));
    gzclose(file);
    return path(name);
  }

  /// What is wrong with a file of images once all of it is read.
  std::string complaint_of(const std::filesystem::path& file) const {
    return complaint([&] { sample(*open_idx(file, "", Standardization::none), 0); });
  }

  std::filesystem::path write_hdf5() const {
    const hdf5::File file = hdf5::File::create(path("data.h5"));
    const hdf5::Shape shape{4, 2, 3};
    std::vector<double> x;
    for (int i = 0; i < 24; ++i) x.push_back(0.5 * i);
    hdf5::Dataset::create<double>(file, "x", shape, hdf5::Space::unfilled)
        .write<double>(hdf5::whole(shape), x);
    const std::vector<std::int64_t> y{3, 1, 4, 1};
    hdf5::Dataset::create<std::int64_t>(file, "y", {4}, hdf5::Space::unfilled)
        .write<std::int64_t>(hdf5::whole({4}), y);
    const std::vector<double> odd{0, 1.5, 1, 1};
    hdf5::Dataset::create<double>(file, "odd", {4}, hdf5::Space::unfilled)
        .write<double>(hdf5::whole({4}), odd);
    hdf5::Dataset::create<double>(file, "three", {3}, hdf5::Space::zero);
    hdf5::Dataset::create_texts(file, "texts", {4});
    return path("data.h5");
  }
};

TEST_F(DataFile, OfIdxHasTheBytesOver255PlainAndPacked) {
  const auto plain = open_idx(write("i", images()), write("l", labels()), Standardization::none);
  const auto packed =
      open_idx(write_packed("i.gz", images()), write_packed("l.gz", labels()), Standardization::none);

  for (const nn::DataSet* data : {plain.get(), packed.get()}) {
    EXPECT_EQ(data->size(), 4);
    EXPECT_EQ(data->width(), 6);
    EXPECT_EQ(data->label(2), 4);
    for (int j = 0; j < 6; ++j) EXPECT_EQ(sample(*data, 1)[std::size_t(j)], float((60 + 10 * j) / 255.0));
  }
}

TEST_F(DataFile, OfIdxMayComeWithoutLabels) {
  EXPECT_FALSE(open_idx(write("i", images()), "", Standardization::none)->has_labels());
}

TEST_F(DataFile, OfIdxWithAnotherMagicIsRefused) {
  Bytes floats = images();
  floats[2] = 0x0d;
  expect_text(complaint_of(write("i", floats)), "begins with the bytes 00 00 0d 03");
  expect_text(complaint_of(write("i", {'P', '5', ' ', '2', 0, 0})), "expected an IDX file");
}

TEST_F(DataFile, OfIdxThatIsTruncatedIsRefusedPlainAndPacked) {
  Bytes cut = images();
  cut.pop_back();
  expect_text(complaint_of(write("i", cut)), "truncated");
  expect_text(complaint_of(write_packed("i.gz", cut)), "truncated");
  expect_text(complaint_of(write("i", {0, 0, 8})), "truncated");

  write_packed("whole.gz", images());
  std::filesystem::resize_file(path("whole.gz"), std::filesystem::file_size(path("whole.gz")) - 12);
  expect_text(complaint_of(path("whole.gz")), "truncated");
}

TEST_F(DataFile, OfIdxUnpacksNoMoreThanItsHeaderAnnounces) {
  Bytes bomb = images();
  bomb.resize(10'000'000);
  expect_text(complaint_of(write_packed("i.gz", bomb)), "goes on after what its header announces");
}

TEST_F(DataFile, OfIdxThatAnnouncesTooMuchIsRefusedBeforeMemoryIsTaken) {
  expect_text(
      complaint_of(write("i", {0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})),
      "expected at most");
  expect_text(complaint_of(write("i", {0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9})), "no samples");
}

TEST_F(DataFile, OfIdxWithLabelsOfAnotherNumberIsRefused) {
  const auto file = write("i", images());
  Bytes three = labels();
  three[7] = 3;
  expect_text(complaint([&] { open_idx(file, write("l", three), Standardization::none); }),
              "has the shape [3]; expected one label for each of the 4 images");
  expect_text(complaint([&] { open_idx(file, file, Standardization::none); }), "[4][2][3]");
}

TEST_F(DataFile, ThatIsMissingIsTold) {
  expect_text(complaint_of(path("nowhere")), "No such file");
  expect_text(complaint_of(path("")), "expected a file");
  expect_text(complaint([&] { open_cifar10(path("nowhere"), Standardization::none); }), "No such file");
  expect_text(complaint([&] { open_hdf5(path("nowhere"), "x", "", Standardization::none); }), "No such file");
}

TEST_F(DataFile, OfCifar10IsLabelsAndFeatures) {
  Bytes records(std::size_t(2) * 3073, 51);
  records[0] = 7;
  records[3073] = 9;
  const auto data = open_cifar10(write("c", records), Standardization::none);

  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->width(), 3072);
  EXPECT_EQ(data->label(1), 9);
  EXPECT_EQ(sample(*data, 1)[3071], 0.2F);
}

TEST_F(DataFile, OfCifar10OfAnotherLengthOrLabelIsRefused) {
  Bytes records(std::size_t(2) * 3073, 51);  // a label of 51
  const auto data = open_cifar10(write("c", records), Standardization::none);
  expect_text(complaint([&] { data->label(0); }), "record 0 has label 51");

  records.pop_back();
  expect_text(complaint([&] { open_cifar10(write("c", records), Standardization::none); }), "6145 bytes");
}

TEST_F(DataFile, OfHdf5IsReadSampleBySample) {
  const auto data = open_hdf5(write_hdf5(), "x", "y", Standardization::none);

  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(data->width(), 6);
  EXPECT_EQ(data->label(2), 4);
  EXPECT_EQ(sample(*data, 3), (std::vector<float>{9, 9.5, 10, 10.5, 11, 11.5}));
}

TEST_F(DataFile, OfHdf5WithoutTheDatasetNamesThoseItHas) {
  const auto file = write_hdf5();
  const auto refusal = [&](const std::string& x, const std::string& y) {
    return complaint([&] { open_hdf5(file, x, y, Standardization::none); });
  };
  expect_text(refusal("z", ""), "has no dataset \"z\"; it has: x y odd three texts");
  expect_text(refusal("x/deep", ""), "has no dataset");
  expect_text(refusal("texts", ""), "holds no numbers");
  expect_text(refusal("x", "three"), "[3]; expected one label for each of the 4 samples");
  expect_text(complaint([&] { open_hdf5(file, "x", "odd", Standardization::none)->label(0); }),
              "the label 1.5");
  expect_text(complaint([&] { open_hdf5(write("t", images()), "x", "", Standardization::none); }),
              "is not an HDF5 file");
}

TEST_F(DataFile, IsStandardisedAsAsked) {
  const auto file = write("i", images());
  // 0, 10, ..., 230: mean 115, variance 100 (24^2 - 1) / 12; a feature 0, 60, 120, 180 and a sample 0,
  // ..., 50.
  const double of_all = 10 * std::sqrt(575.0 / 12), of_feature = 60 * std::sqrt(15.0 / 12);
  const double of_sample = 10 * std::sqrt(35.0 / 12);

  const auto all = sample(*open_idx(file, "", Standardization::global), 1);
  const auto feature = sample(*open_idx(file, "", Standardization::feature), 1);
  const auto one = sample(*open_idx(file, "", Standardization::sample), 1);

  for (int j = 0; j < 6; ++j) {
    EXPECT_NEAR(all[std::size_t(j)], (60 + 10 * j - 115) / of_all, 1e-6);  // float32 of numbers below 2
    EXPECT_NEAR(feature[std::size_t(j)], -30 / of_feature, 1e-6);
    EXPECT_NEAR(one[std::size_t(j)], (10 * j - 25) / of_sample, 1e-6);
  }
}

TEST_F(DataFile, WithAFeatureThatIsAlwaysEqualGetsZerosThere) {
  Bytes equal = images();
  for (std::size_t i = 16; i < equal.size(); ++i) equal[i] = 200;
  for (const Standardization wanted :
       {Standardization::global, Standardization::feature, Standardization::sample}) {
    EXPECT_EQ(sample(*open_idx(write("i", equal), "", wanted), 2), std::vector<float>(6, 0.0F));
  }
}

TEST(Standardizations, AreFoundByName) {
  EXPECT_EQ(standardization("feature"), Standardization::feature);
  expect_text(complaint([] { standardization("zscore"); }), "none global feature sample");
}

}  // namespace
}  // namespace gradflow::data
