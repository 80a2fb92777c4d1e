#include "gradflow/data/weights_file.hpp"

#include <algorithm>
#include <cmath>

#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"
#include "gradflow/nn/block.hpp"
#include "temporary_folder.hpp"

namespace gradflow::data {
namespace {

class WeightsFile : public InFolder {
 protected:
  /// Numbers 1, 2, ... of a shape.
  static void add(const hdf5::File& file, const std::string& name, const hdf5::Shape& shape,
                  double factor = 1) {
    std::vector<double> values;
    for (std::size_t i = 0; i < hdf5::size_of(shape); ++i) values.push_back(factor * double(i + 1));
    hdf5::Dataset::create<double>(file, name, shape, hdf5::Space::unfilled)
        .write<double>(hdf5::whole(shape), values);
  }

  /// A file in gradflow's form: 3 inputs, then layers of these shapes.
  std::filesystem::path write_layers(const std::vector<hdf5::Shape>& weights,
                                     const std::vector<hdf5::Shape>& biases, double bias = 1) const {
    std::filesystem::remove(path("w.h5"));
    const hdf5::File file = hdf5::File::create(path("w.h5"));
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const std::string group = "layer_" + std::to_string(k + 1);
      hdf5::create_group(file, group);
      add(file, group + "/weight", weights[k]);
      if (k < biases.size()) add(file, group + "/bias", biases[k], bias);
    }
    return path("w.h5");
  }
};

nn::NetworkSpec example(std::string_view scheme) {
  nn::NetworkSpec spec;
  spec.widths = nn::Widths::listed({70, 20, 30});
  spec.activation = nn::Activation::named("tanh");
  spec.init = scheme == "pytorch_default" || scheme == "he_normal"
                  ? nn::Initialisation::make(scheme)
                  : nn::Initialisation::make(scheme, 1.3, 0.7);
  spec.seed = 5;
  return spec;
}

template <class Real>
void expect_equal(const Matrix<Real>& a, const Matrix<Real>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_TRUE(std::equal(a.data(), a.data() + a.size(), b.data()));
}

nn::NetworkSpec stored_as(nn::NetworkSpec spec, const std::filesystem::path& file) {
  spec.init = nn::Initialisation::make("file");
  spec.init.stored = open_weights(file);
  return spec;
}

template <class Real>
void expect_round_trip(const nn::NetworkSpec& spec, const std::filesystem::path& file) {
  write_weights<Real>(file, spec);
  const nn::NetworkSpec again = stored_as(spec, file);
  for (int layer : {1, 2}) {
    expect_equal(nn::unit_weights<Real>(again, layer), nn::unit_weights<Real>(spec, layer));
    EXPECT_EQ(nn::weight_scale(again, layer), nn::weight_scale(spec, layer));
    EXPECT_EQ(nn::bias_scale(again, layer), nn::bias_scale(spec, layer));
    if (nn::bias_scale(spec, layer) > 0) {
      expect_equal(nn::unit_bias<Real>(again, layer), nn::unit_bias<Real>(spec, layer));
    }
  }
}

TEST_F(WeightsFile, GivesBackTheVeryBitsThatWereWritten) {
  for (const std::string scheme :
       {"gaussian", "uniform", "orthogonal", "identity", "he_normal", "pytorch_default"}) {
    SCOPED_TRACE(scheme);
    expect_round_trip<float>(example(scheme), path(scheme + ".h5"));
    expect_round_trip<double>(example(scheme), path(scheme + "_64.h5"));
  }
}

TEST_F(WeightsFile, HoldsEveryMatrixOfABlock) {
  for (const std::string block : {"residual", "highway", "gru", "lstm"}) {
    SCOPED_TRACE(block);
    nn::NetworkSpec spec = example("orthogonal");
    spec.block = block;
    spec.widths = nn::Widths::uniform(3, 20);
    if (nn::block_of(spec).steps_in_time) spec.recurrence.input = nn::StepInput::gaussian;
    write_weights<double>(path(block + ".h5"), spec);

    const nn::NetworkSpec again = stored_as(spec, path(block + ".h5"));

    EXPECT_EQ(nn::complaint_of_weights(again), "");
    for (const WeightRole role : nn::parts_of(spec).matrices) {
      expect_equal(nn::unit_weights<double>(again, 1, role), nn::unit_weights<double>(spec, 1, role));
      EXPECT_EQ(nn::weight_scale(again, 1, role), nn::weight_scale(spec, 1, role));
      EXPECT_EQ(nn::bias_scale(again, 1, role), nn::bias_scale(spec, 1, role));
    }
  }
}

TEST_F(WeightsFile, HoldsTheScaledWeights) {
  const nn::NetworkSpec spec = example("gaussian");
  write_weights<float>(path("w.h5"), spec);

  const hdf5::File file = hdf5::File::open_read_only(path("w.h5"));
  const hdf5::Dataset weight = hdf5::Dataset::open(file, "layer_2/weight");

  EXPECT_EQ(weight.shape(), (hdf5::Shape{30, 20}));
  const auto z = nn::unit_weights<float>(spec, 2);
  EXPECT_EQ(weight.read<double>()[21], 1.3 / std::sqrt(20) * double(z(1, 1)));
}

TEST_F(WeightsFile, IsNotWrittenOverAnother) {
  write("w.h5", {1});
  expect_text(complaint([&] { write_weights<float>(path("w.h5"), example("gaussian")); }), "exists already");
  EXPECT_EQ(std::filesystem::file_size(path("w.h5")), 1u);
}

TEST_F(WeightsFile, OfSomebodyElseNeedsNoScale) {
  const auto stored = open_weights(write_layers({{2, 3}, {4, 2}}, {{2}}));

  EXPECT_EQ(stored->layers(), 2);
  EXPECT_EQ(stored->fan_in(1, WeightRole::first), 3);
  EXPECT_EQ(stored->fan_out(2, WeightRole::first), 4);
  EXPECT_EQ(stored->weight_scale(1, WeightRole::first), 1);
  EXPECT_EQ(stored->unit_weights(1, WeightRole::first)(1, 0), 4);  // [fan_out][fan_in]
  EXPECT_EQ(stored->unit_bias(1, WeightRole::first), (std::vector<double>{1, 2}));
  EXPECT_EQ(stored->bias_scale(2, WeightRole::first), 0);
}

TEST_F(WeightsFile, WithBiasesOfZeroHasNone) {
  EXPECT_EQ(open_weights(write_layers({{2, 3}}, {{2}}, 0))->bias_scale(1, WeightRole::first), 0);
}

TEST_F(WeightsFile, OfKerasIsReadTransposedInTheOrderOfItsLayers) {
  for (const std::string root : {"", "model_weights"}) {
    const auto name = path("keras" + root + ".h5");
    {
      const hdf5::File file = hdf5::File::create(name);
      const std::string prefix = root.empty() ? "" : root + "/";
      if (!root.empty()) hdf5::create_group(file, root);
      for (const std::string layer : {"dense", "z_first"}) {
        hdf5::create_group(file, prefix + layer);
        const auto group = hdf5::open_group(file, prefix + layer);
        hdf5::create_group(file, prefix + layer + "/" + layer);
        const bool first = layer == "z_first";
        add(file, prefix + layer + "/" + layer + "/kernel:0", first ? hdf5::Shape{3, 2} : hdf5::Shape{2, 4});
        add(file, prefix + layer + "/" + layer + "/bias:0", {first ? 2u : 4u});
        hdf5::write_attribute(group.get(), "weight_names",
                              std::vector<std::string>{layer + "/kernel:0", layer + "/bias:0"});
      }
      const auto top = hdf5::open_group(file, root.empty() ? "/" : root);
      hdf5::write_attribute(top.get(), "layer_names", std::vector<std::string>{"z_first", "dense"});
    }

    const auto stored = open_weights(name);

    ASSERT_EQ(stored->layers(), 2);
    EXPECT_EQ(stored->fan_in(1, WeightRole::first), 3);
    EXPECT_EQ(stored->fan_out(2, WeightRole::first), 4);
    EXPECT_EQ(stored->unit_weights(1, WeightRole::first)(1, 0), 2);  // kernel[0][1]
    EXPECT_EQ(stored->unit_bias(2, WeightRole::first), (std::vector<double>{1, 2, 3, 4}));
  }
}

TEST_F(WeightsFile, WhoseLayersDoNotFitIsRefused) {
  const auto refusal = [&](const std::vector<hdf5::Shape>& weights, const std::vector<hdf5::Shape>& biases) {
    return complaint([&] { open_weights(write_layers(weights, biases)); });
  };
  expect_text(refusal({{2, 3}, {4, 5}}, {}), "so 5 inputs, but the layer before has 2 units");
  expect_text(refusal({{2, 3}}, {{3}}), "layer_1/bias has the shape [3], but layer_1/weight has 2 units");
  expect_text(refusal({{2, 3, 4}}, {}), "expected [fan_out][fan_in]");
  expect_text(refusal({}, {}), "holds no weights");
  expect_text(complaint([&] { open_weights(path("nowhere.h5")); }), "No such file");
  expect_text(complaint([&] { open_weights(write("text", {'a'})); }), "is not an HDF5 file");
}

TEST_F(WeightsFile, WithWeightsThatAreNotFiniteIsRefused) {
  {
    const hdf5::File file = hdf5::File::create(path("nan.h5"));
    hdf5::create_group(file, "layer_1");
    add(file, "layer_1/weight", {2, 2}, std::nan(""));
  }
  const auto stored = open_weights(path("nan.h5"));
  expect_text(complaint([&] { stored->unit_weights(1, WeightRole::first); }), "layer_1/weight holds nan");
}

}  // namespace
}  // namespace gradflow::data
