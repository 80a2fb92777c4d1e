#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gradflow::sweep {

/// A number or a text that belongs to a named value: slope = 0.1, position = "after".
using Parameter = std::variant<double, std::string>;

/// A name from a catalogue with its parameters: "tanh", { name = "leaky_relu", slope = 0.1 }.
struct NamedValue {
  std::string name;
  std::map<std::string, Parameter> parameters;

  bool has(const std::string& parameter) const { return parameters.contains(parameter); }
  /// The number called `parameter`, `fallback` where the file does not give it.
  /// @throws UserError if the file gives a text
  double real(const std::string& parameter, double fallback) const;
  /// The text called `parameter`, `fallback` where the file does not give it.
  /// @throws UserError if the file gives a number
  std::string text(const std::string& parameter, std::string_view fallback) const;

  bool operator==(const NamedValue&) const = default;
};

/// What one key can hold. Reals are finite and -0 is read as 0, so equal values have equal texts.
using Value = std::variant<bool, std::int64_t, double, std::string, NamedValue, std::vector<std::int64_t>,
                           std::vector<std::string>>;

/// For people: 0.1, "gaussian", {leaky_relu, slope = 0.1}, [50, 200]. Reals in their shortest form, with a
/// point or an exponent; long texts are cut.
std::string display(const Value& value);

/// For point_hash: one text per value, frozen for ever.
///
/// * true, false; integers in decimal; reals as printf("%.17g") writes them (2.0 is "2")
/// * texts in double quotes; inside them `"` and `\` follow a `\`, bytes below 32 and 127 are \xHH in
/// lower-case hex
/// * names as texts, with parameters "leaky_relu"{slope=0.10000000000000001}: sorted by name, separated by
/// commas
/// * lists of integers as [50,200,100], of texts as ["a","b"]
std::string canonical(const Value& value);

}  // namespace gradflow::sweep
