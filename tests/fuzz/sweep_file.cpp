// The TOML reader with the expansion of the axes.
#include <string>

#include "gradflow/experiment/schema.hpp"
#include "gradflow/sweep/sweep.hpp"
#include "target.hpp"

namespace gradflow::fuzz {
namespace {

void look_at(const sweep::Sweep& sweep, std::uint64_t index) {
  const sweep::SweepPoint point = sweep.point(index);
  point.hash();
  for (const sweep::Axis& axis : sweep.axes()) {
    for (const sweep::Column& column : axis.columns) {
      if (point.has(column.key)) sweep::display(point.at(column.key));
    }
  }
}

void expand(std::string text) {
  const sweep::Sweep sweep = sweep::Sweep::parse(std::move(text), "fuzz.toml", experiment::sweep_schema());
  if (sweep.size() == 0) return;
  for (const std::uint64_t index : {std::uint64_t(0), sweep.size() / 2, sweep.size() - 1})
    look_at(sweep, index);
}

}  // namespace
}  // namespace gradflow::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gradflow::fuzz;
  expect_answer_or_user_error([&] { expand(std::string(reinterpret_cast<const char*>(bytes), size)); });
  return 0;
}
