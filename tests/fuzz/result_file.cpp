// The reader of result files, and all that show and report make of one.
#include "gradflow/store/result_file.hpp"

#include <cstdio>
#include <optional>
#include <sstream>
#include <vector>

#include "crafted.hpp"
#include "gradflow/report/page.hpp"
#include "gradflow/report/table.hpp"

namespace gradflow::fuzz {
namespace {

constexpr hsize_t points = 4, layers = 5, formats = 2;

/// A variable of a sound file; every one may come otherwise.
struct Variable {
  const char* name;
  const char* role;
  char type;  ///< r real, i integer, u unsigned, b byte, t text, a axis without values
  std::vector<const char*> axes;
};

const std::vector<Variable> rectangular = {
    {"point", "axis", 'a', {}},
    {"layer", "axis", 'i', {"layer"}},
    {"format", "axis", 't', {"format"}},
    {"status", "record", 'b', {"point"}},
    {"checksum", "record", 'u', {"point"}},
    {"point_hash", "record", 'u', {"point"}},
    {"failure_code", "record", 'b', {"point"}},
    {"failure_layer", "record", 'i', {"point"}},
    {"sigma_w", "swept key", 'r', {"point"}},
    {"activation", "swept key", 't', {"point"}},
    {"seed", "swept key", 'u', {"point"}},
    {"width", "fixed key", 'i', {}},
    {"dgrad_log10_norm_mean", "statistic", 'r', {"point", "layer"}},
    {"dgrad_log10_rms", "statistic", 'r', {"point", "layer"}},
    {"theory_dgrad_log10_rms", "statistic", 'r', {"point", "layer"}},
    {"dgrad_zero_fraction", "statistic", 'r', {"point", "layer"}},
    {"dgrad_underflow_fraction", "statistic", 'r', {"point", "layer", "format"}},
    {"theory_chi1", "statistic", 'r', {"point"}},
    {"theory_critical_sigma_w", "statistic", 'r', {"point"}},
    {"theory_critical_stability", "statistic", 'r', {"point"}},
};

hsize_t length_of(const std::string& axis) {
  return axis == "point" ? points : axis == "layer" ? layers : formats;
}

hdf5::Shape shape_of(const Variable& variable) {
  hdf5::Shape shape;
  for (const char* axis : variable.axes) shape.push_back(length_of(axis));
  return shape;
}

hid_t type_of(const Variable& variable) {
  switch (variable.type) {
    case 'i':
      return H5T_STD_I32LE;
    case 'u':
      return H5T_STD_U64LE;
    case 'b':
      return H5T_STD_I8LE;
    default:
      return H5T_IEEE_F64LE;
  }
}

void create_texts(const hdf5::File& file, const Variable& variable, Decisions& decisions) {
  const hdf5::Shape shape = shape_of(variable);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < hdf5::size_of(shape); ++i)
    texts.push_back(decisions.below(2) ? decisions.text() : "fp32");
  for (std::string& text : texts) text = text.c_str();
  hdf5::Dataset::create_texts(file, variable.name, shape).write_texts(hdf5::whole(shape), texts);
}

void create_sound(const hdf5::File& file, const Variable& variable, Decisions& decisions) {
  if (variable.type == 'a') {
    hdf5::create_axis(file, variable.name, length_of(variable.name));
  } else if (variable.type == 't') {
    create_texts(file, variable, decisions);
  } else {
    create(file, variable.name, type_of(variable), shape_of(variable), decisions);
  }
}

/// Nothing if it is missing, or of a shape that we refuse to open.
std::optional<hdf5::Dataset> opened(const hdf5::File& file, const char* name) {
  if (!file.has(name)) return {};
  try {
    return hdf5::Dataset::open(file, name);
  } catch (const Error&) {
    return {};
  }
}

void name_axes(const hdf5::File& file, const Variable& variable) {
  const std::optional<hdf5::Dataset> found = opened(file, variable.name);
  if (!found) return;
  const hdf5::Dataset& dataset = *found;
  if (variable.axes.size() == 1 && std::string(variable.axes[0]) == variable.name) {
    if (dataset.shape().size() == 1) hdf5::make_scale(dataset);
    return;
  }
  for (unsigned axis = 0; axis < variable.axes.size() && axis < dataset.shape().size(); ++axis) {
    const std::optional<hdf5::Dataset> scale = opened(file, variable.axes[axis]);
    if (scale && scale->shape().size() == 1) hdf5::attach_scale(dataset, *scale, axis);
  }
}

void craft(const std::filesystem::path& path, Decisions decisions) {
  const hdf5::File file = hdf5::File::create(path);
  hdf5::write_attribute<std::int64_t>(file.get(), "gradflow_schema", 1);
  hdf5::write_attribute(file.get(), "title", decisions.text());
  for (const Variable& variable : rectangular) {
    const unsigned kind = decisions.below(32);
    if (kind == 31) continue;
    if (kind == 30) {
      create(file, variable.name, fuzz::type_of(decisions), fuzz::shape_of(decisions), decisions);
    } else {
      create_sound(file, variable, decisions);
    }
    set_text(file, variable.name, "gradflow_role", kind == 29 ? decisions.text() : variable.role);
  }
  for (const Variable& variable : rectangular) name_axes(file, variable);
}

template <class Act>
void expect_text(Act act) {
  expect_answer_or_user_error([&] {
    std::ostringstream out;
    act(out);
  });
}

void read(const store::ResultFile& file) {
  expect_text([&](std::ostream& out) { report::print_table(file, out); });
  expect_text([&](std::ostream& out) { report::print_json(file, out); });
  expect_text([&](std::ostream& out) { report::print_table(file, out, 0); });
  expect_text([&](std::ostream& out) { report::print_json(file, out, 3); });
  expect_text([&](std::ostream& out) { report::write_html(file, out); });
  expect_answer_or_user_error([&] { file.require_readable(); });
  expect_answer_or_user_error([&] {
    if (file.points() > 0) file.intact(0, file.points());
  });
}

}  // namespace
}  // namespace gradflow::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gradflow;
  using namespace gradflow::fuzz;
  const std::filesystem::path path = memory_folder() / "result.h5";
  craft(path, Decisions({bytes, size}));
  expect_answer_or_user_error([&] { read(store::ResultFile::open(path)); });
  std::filesystem::remove(path);
  return 0;
}
