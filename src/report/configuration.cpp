#include "gradflow/report/configuration.hpp"

#include <limits>
#include <unordered_map>

#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr auto seed = "seed";

/// One swept key at every point.
struct KeyColumn {
  std::string key;
  std::vector<std::string> texts;
  std::vector<double> numbers;  ///< empty for texts

  KeyValue at(std::uint64_t point) const {
    const bool absent = texts[point] == "nan";
    return {printable(key), absent ? "" : printable(texts[point]),
            numbers.empty() ? std::numeric_limits<double>::quiet_NaN() : numbers[point]};
  }
};

std::vector<KeyColumn> keys_but_the_seed(const store::ResultFile& file) {
  std::vector<KeyColumn> keys;
  for (const std::string& key : file.swept()) {
    if (key == seed) continue;
    keys.push_back({key, file.texts(key), file.is_text(key) ? std::vector<double>() : file.numbers(key)});
  }
  return keys;
}

/// Equal for two points exactly if all their keys are: lengths keep texts apart.
std::string identity_of(const std::vector<KeyColumn>& keys, std::uint64_t point) {
  std::string identity;
  for (const KeyColumn& key : keys) {
    identity += std::to_string(key.texts[point].size()) + ":" + key.texts[point];
  }
  return identity;
}

Configuration configuration_at(const std::vector<KeyColumn>& keys, std::uint64_t point) {
  Configuration configuration;
  for (const KeyColumn& key : keys) {
    const KeyValue& value = configuration.values.emplace_back(key.at(point));
    if (value.text.empty()) continue;
    configuration.label = listed(configuration.label, value.key + " = " + value.text);
  }
  if (configuration.label.empty()) configuration.label = "the one configuration";
  return configuration;
}

}  // namespace

std::vector<Configuration> configurations(const store::ResultFile& file) {
  const std::vector<KeyColumn> keys = keys_but_the_seed(file);
  const std::vector<store::Status> status = file.statuses();

  std::vector<Configuration> all;
  std::unordered_map<std::string, std::size_t> known;
  for (std::uint64_t point = 0; point < file.points(); ++point) {
    const auto [it, is_new] = known.emplace(identity_of(keys, point), all.size());
    if (is_new) all.push_back(configuration_at(keys, point));
    Configuration& configuration = all[it->second];
    configuration.points.push_back(point);
    if (status[point] == store::Status::done) configuration.done.push_back(point);
    if (status[point] == store::Status::failed) ++configuration.failed;
  }
  return all;
}

Coverage coverage_of(const store::ResultFile& file) {
  Coverage coverage{.points = file.points()};
  for (const store::Status status : file.statuses()) {
    coverage.done += status == store::Status::done;
    coverage.failed += status == store::Status::failed;
  }
  return coverage;
}

}  // namespace gradflow::report
