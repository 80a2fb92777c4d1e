// Files whose bytes we read ourselves: IDX, plain and gzip, CIFAR-10, and the superblock of HDF5. Readers are
// run on the same bytes, each refusing what is none of its own.
#include <vector>

#include "gradflow/data/data_file.hpp"
#include "gradflow/hdf5/soundness.hpp"
#include "target.hpp"

namespace gradflow::fuzz {
namespace {

void read_whole(const nn::DataSet& data) {
  std::vector<float> sample(std::size_t(data.width()));
  data.copy(data.size() - 1, sample);
  if (data.has_labels()) data.label(data.size() - 1);
}

void read_superblock(const std::filesystem::path& file) {
  try {
    hdf5::require_sound_superblock(file);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace gradflow::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gradflow;
  using namespace gradflow::fuzz;
  const MemoryFile file({bytes, size});
  expect_answer_or_user_error(
      [&] { read_whole(*data::open_idx(file.path(), "", data::Standardization::feature)); });
  expect_answer_or_user_error(
      [&] { read_whole(*data::open_idx(file.path(), file.path(), data::Standardization::none)); });
  expect_answer_or_user_error(
      [&] { read_whole(*data::open_cifar10(file.path(), data::Standardization::global)); });
  read_superblock(file.path());
  return 0;
}
