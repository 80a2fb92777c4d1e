#include "gradflow/sweep/value.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gradflow/core/errors.hpp"
#include "text.hpp"

namespace gradflow::sweep {

namespace {

UserError parameter_error(const NamedValue& value, const std::string& parameter, std::string_view wanted) {
  return UserError(
      fmt::format("parameter {} of {}: expected {}", in_quotes(parameter), in_quotes(value.name), wanted));
}

std::string display_parameter(const Parameter& parameter) {
  if (const auto* number = std::get_if<double>(&parameter)) return display_real(*number);
  return in_quotes_briefly(std::get<std::string>(parameter));
}

std::string list_of(const std::vector<std::string>& texts, std::string (*quoted)(std::string_view),
                    std::string_view separator) {
  std::vector<std::string> entries;
  for (const std::string& text : texts) entries.push_back(quoted(text));
  return fmt::format("[{}]", fmt::join(entries, separator));
}

struct Display {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return display_real(value); }
  std::string operator()(const std::string& value) const { return in_quotes_briefly(value); }
  std::string operator()(const std::vector<std::int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
  std::string operator()(const std::vector<std::string>& value) const {
    return list_of(value, in_quotes_briefly, ", ");
  }
  std::string operator()(const NamedValue& value) const {
    if (value.parameters.empty()) return in_quotes_briefly(value.name);
    std::string text = "{" + value.name;
    for (const auto& [name, parameter] : value.parameters) {
      text += fmt::format(", {} = {}", name, display_parameter(parameter));
    }
    return text + "}";
  }
};

struct Canonical {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{:.17g}", value); }
  std::string operator()(const std::string& value) const { return in_quotes(value); }
  std::string operator()(const std::vector<std::int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ","));
  }
  std::string operator()(const std::vector<std::string>& value) const {
    return list_of(value, in_quotes, ",");
  }
  std::string operator()(const NamedValue& value) const {
    std::string parameters;
    for (const auto& [name, parameter] : value.parameters) {
      if (!parameters.empty()) parameters += ',';
      parameters += name + '=' + std::visit(*this, parameter);
    }
    return in_quotes(value.name) + (parameters.empty() ? "" : "{" + parameters + "}");
  }
};

}  // namespace

double NamedValue::real(const std::string& parameter, double fallback) const {
  const auto found = parameters.find(parameter);
  if (found == parameters.end()) return fallback;
  if (const auto* number = std::get_if<double>(&found->second)) return *number;
  throw parameter_error(*this, parameter, "a number");
}

std::string NamedValue::text(const std::string& parameter, std::string_view fallback) const {
  const auto found = parameters.find(parameter);
  if (found == parameters.end()) return std::string(fallback);
  if (const auto* text = std::get_if<std::string>(&found->second)) return *text;
  throw parameter_error(*this, parameter, "a text in quotes");
}

std::string display(const Value& value) { return std::visit(Display{}, value); }

std::string canonical(const Value& value) { return std::visit(Canonical{}, value); }

}  // namespace gradflow::sweep
