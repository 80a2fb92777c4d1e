#include <algorithm>

#include <fmt/format.h>

#include "byte_file.hpp"
#include "file_data_set.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::data {
namespace {

constexpr int features = 3 * 32 * 32;
constexpr int record_bytes = 1 + features;
constexpr int classes = 10;

/// Calls visit(number, record) for every record.
template <class Visit>
void for_each_record(const std::filesystem::path& path, std::int64_t records, Visit visit) {
  ByteFile file(path);
  std::vector<std::uint8_t> record(record_bytes);
  for (std::int64_t i = 0; i < records; ++i) {
    file.read(record, fmt::format("record {}", i));
    visit(i, record);
  }
  file.require_end();
}

std::vector<int> read_labels(const std::filesystem::path& path, std::int64_t records) {
  std::vector<int> labels;
  for_each_record(path, records, [&](std::int64_t i, const std::vector<std::uint8_t>& record) {
    if (record.front() >= classes) {
      throw UserError(fmt::format("{}: record {} has label {}; expected a class of CIFAR-10, 0 to {}",
                                  path.string(), i, record.front(), classes - 1));
    }
    labels.push_back(record.front());
  });
  return labels;
}

Values read_images(const std::filesystem::path& path, std::int64_t records) {
  std::vector<std::uint8_t> bytes(std::size_t(records) * features);
  for_each_record(path, records, [&](std::int64_t i, const std::vector<std::uint8_t>& record) {
    std::copy(record.begin() + 1, record.end(), bytes.begin() + std::ptrdiff_t(i * features));
  });
  return bytes;
}

}  // namespace

std::shared_ptr<const nn::DataSet> open_cifar10(const std::filesystem::path& file, Standardization wanted) {
  require_file(file);
  const auto bytes = std::int64_t(std::filesystem::file_size(file));
  if (bytes == 0 || bytes % record_bytes != 0 || bytes > most_bytes) {
    throw UserError(
        fmt::format("{}: has {} bytes; expected records of {} bytes (one label, {} features) and nothing "
                    "else, at most {} bytes: data_batch_1.bin of CIFAR-10's binary version",
                    file.string(), bytes, record_bytes, features, most_bytes));
  }
  const std::int64_t records = bytes / record_bytes;
  Contents contents;
  contents.size = records;
  contents.width = features;
  contents.read_values = [file, records] { return read_images(file, records); };
  contents.read_labels = [file, records] { return read_labels(file, records); };
  return std::make_shared<FileDataSet>(std::move(contents), wanted);
}

}  // namespace gradflow::data
