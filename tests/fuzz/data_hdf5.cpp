// Data sets and weights in HDF5 files of other programs.
#include <vector>

#include "crafted.hpp"
#include "gradflow/data/data_file.hpp"
#include "gradflow/data/weights_file.hpp"

namespace gradflow::fuzz {
namespace {

constexpr const char* names[] = {"x",
                                 "y",
                                 "layer_1/weight",
                                 "layer_1/bias",
                                 "layer_1/unit_weight",
                                 "layer_2/weight",
                                 "layer_2/bias",
                                 "layer_2/second_weight"};

void craft(const std::filesystem::path& path, Decisions decisions) {
  const hdf5::File file = hdf5::File::create(path);
  hdf5::create_group(file, "layer_1");
  hdf5::create_group(file, "layer_2");
  for (const char* name : names) {
    const unsigned kind = decisions.below(4);
    if (kind == 0) continue;
    const hid_t type = kind == 1 ? type_of(decisions) : H5T_IEEE_F64LE;
    const hdf5::Shape usual = std::string(name).ends_with("weight") ? hdf5::Shape{3, 3} : hdf5::Shape{3};
    create(file, name, type, kind == 3 ? usual : shape_of(decisions), decisions);
    if (decisions.below(4) == 0) set_text(file, name, "scale", decisions.text());
  }
  if (decisions.below(4) == 0) {
    hdf5::write_attribute(file.get(), "layer_names",
                          std::vector<std::string>{decisions.text(), "layer_1", "x"});
    set_text(file, "layer_1", "weight_names", decisions.text());
  }
}

void read_data(const std::filesystem::path& path, const char* labels) {
  const auto data = data::open_hdf5(path, "x", labels, data::Standardization::feature);
  std::vector<float> sample(std::size_t(data->width()));
  data->copy(data->size() - 1, sample);
  if (data->has_labels()) data->label(data->size() - 1);
}

void read_weights(const std::filesystem::path& path) {
  const auto weights = data::open_weights(path);
  for (int layer = 1; layer <= weights->layers(); ++layer) {
    for (const WeightRole role : {WeightRole::first, WeightRole::second}) {
      if (!weights->has(layer, role)) continue;
      weights->unit_weights(layer, role);
      if (weights->bias_scale(layer, role) > 0) weights->unit_bias(layer, role);
    }
  }
}

}  // namespace
}  // namespace gradflow::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gradflow::fuzz;
  const std::filesystem::path path = memory_folder() / "data.h5";
  craft(path, Decisions({bytes, size}));
  expect_answer_or_user_error([&] { read_data(path, ""); });
  expect_answer_or_user_error([&] { read_data(path, "y"); });
  expect_answer_or_user_error([&] { read_weights(path); });
  std::filesystem::remove(path);
  return 0;
}
