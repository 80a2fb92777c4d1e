#include "gradflow/experiment/input_files.hpp"

#include <filesystem>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/data/data_file.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"

namespace gradflow::experiment {
namespace {

/// What was opened by this process, by the words that describe it.
template <class Opened>
class Library {
 public:
  template <class Open>
  std::shared_ptr<const Opened> get(const std::string& description, Open open) {
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<const Opened>& known = opened_[description];
    if (!known) known = open();
    return known;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Opened>> opened_;
};

/// A path that a value names, as seen from here. Empty if it names none.
std::filesystem::path path_in(const sweep::SweepPoint& point, const sweep::NamedValue& value,
                              const std::string& parameter) {
  const std::string given = value.text(parameter, "");
  return given.empty() ? std::filesystem::path() : point.file().parent_path() / given;
}

void require_given(const sweep::NamedValue& value, const std::string& parameter) {
  if (!value.text(parameter, "").empty()) return;
  throw UserError(
      fmt::format("\"{0}\" names no file; write {{ name = \"{0}\", {1} = \"...\" }}", value.name, parameter));
}

std::shared_ptr<const nn::DataSet> open_data(const sweep::SweepPoint& point, const sweep::NamedValue& value) {
  const data::Standardization wanted = data::standardization(value.text("standardize", "none"));
  if (value.name == "idx") {
    require_given(value, "images");
    return data::open_idx(path_in(point, value, "images"), path_in(point, value, "labels"), wanted);
  }
  require_given(value, "path");
  if (value.name == "cifar10") return data::open_cifar10(path_in(point, value, "path"), wanted);
  require_given(value, "dataset");
  return data::open_hdf5(path_in(point, value, "path"), value.text("dataset", ""), value.text("labels", ""),
                         wanted);
}

/// One text for equal values of one sweep file's folder.
std::string description(const sweep::SweepPoint& point, const sweep::NamedValue& value) {
  return point.file().parent_path().string() + '\n' + sweep::canonical(value);
}

/// Calls act; a mistake it finds is told with the place of the key.
template <class Act>
auto at_key(const sweep::SweepPoint& point, std::string_view key, Act act) {
  try {
    return act();
  } catch (const UserError& error) {
    throw point.error(key, error.what());
  }
}

void read_data_of(const sweep::SweepPoint& point, bool feeds, bool judges) {
  const nn::NetworkSpec network = network_of(point);
  if (!network.data_set) return;
  at_key(point, "data.source", [&] {
    std::vector<float> first(std::size_t(network.data_set->width()));
    const bool feeds_steps = network.recurrence.input == nn::StepInput::data;  // and those are everywhere
    if (feeds || feeds_steps) network.data_set->copy(0, first);
    const std::string complaint = judges ? nn::complaint_of_labels(network) : "";
    if (!complaint.empty()) throw UserError(complaint);
  });
}

void read_weights(const nn::StoredWeights& stored) {
  for (int layer = 1; layer <= stored.layers(); ++layer) {
    for (const WeightRole role :
         {WeightRole::first, WeightRole::second, WeightRole::input, WeightRole::transform}) {
      if (!stored.has(layer, role)) continue;
      stored.unit_weights(layer, role);
      if (stored.bias_scale(layer, role) > 0) stored.unit_bias(layer, role);
    }
  }
}

}  // namespace

std::shared_ptr<const nn::DataSet> data_set_of(const sweep::SweepPoint& point) {
  static Library<nn::DataSet> library;
  const sweep::NamedValue& value = point.name("data.source");
  const nn::DataRow& source = find(nn::data_sources(), "data source", value.name);
  if (!source.reads_files) return nullptr;
  return at_key(point, "data.source", [&] {
    return library.get(description(point, value), [&] { return open_data(point, value); });
  });
}

std::shared_ptr<const nn::StoredWeights> stored_weights_of(const sweep::SweepPoint& point) {
  static Library<nn::StoredWeights> library;
  const sweep::NamedValue& value = point.name("init.scheme");
  if (value.name != "file") return nullptr;
  return at_key(point, "init.scheme", [&] {
    require_given(value, "path");
    return library.get(description(point, value),
                       [&] { return data::open_weights(path_in(point, value, "path")); });
  });
}

std::set<std::filesystem::path> named_files(const sweep::Sweep& sweep) {
  std::set<std::filesystem::path> files;
  for_each_combination_of_names(sweep, [&](const sweep::SweepPoint& point) {
    const auto add = [&](std::string_view key, const char* parameter) {
      const std::filesystem::path file = path_in(point, point.name(key), parameter);
      if (!file.empty()) files.insert(file);
    };
    for (const char* parameter : {"images", "path"}) add("data.source", parameter);
    if (point.name("data.source").name == "idx") add("data.source", "labels");  // of hdf5 it is a dataset
    if (point.name("init.scheme").name == "file") add("init.scheme", "path");
  });
  return files;
}

void read_named_files(const sweep::Sweep& sweep) {
  for_each_network(sweep, [&](const sweep::SweepPoint& point) {
    read_data_of(point, true, true);
    const auto stored = stored_weights_of(point);
    if (!stored) return;
    at_key(point, "init.scheme", [&] { read_weights(*stored); });
  });
}

void read_data(const mpi::Communicator& world, const sweep::Sweep& sweep, bool feeds, bool judges) {
  mpi::on_each(world, [&] {
    for_each_network(sweep, [&](const sweep::SweepPoint& point) { read_data_of(point, feeds, judges); });
  });
}

}  // namespace gradflow::experiment
