#include "jacobian_request.hpp"

#include <algorithm>
#include <string_view>
#include <variant>

#include <fmt/format.h>

namespace gradflow::experiment {
namespace {

/// The layer that the Jacobian is of, or is taken with respect to.
int jacobian_layer(const sweep::SweepPoint& point, std::string_view key, int fallback) {
  if (!point.has(key)) return fallback;
  const auto* layer = std::get_if<std::int64_t>(&point.at(key));
  return layer ? int(*layer) : fallback;
}

/// @throws UserError unless it is of two layers that exist
nn::JacobianRequest jacobian_between(const sweep::SweepPoint& point, int depth) {
  const std::int64_t most = depth;
  for (const char* key : {"jacobian.from", "jacobian.to"}) {
    const auto* layer = point.has(key) ? std::get_if<std::int64_t>(&point.at(key)) : nullptr;
    if (layer && *layer > most) {
      throw point.error(key, fmt::format("read {}, but the network has {} layers; expected at most {}",
                                         *layer, depth, most));
    }
  }
  nn::JacobianRequest request;
  request.from = jacobian_layer(point, "jacobian.from", 1);
  request.to = jacobian_layer(point, "jacobian.to", depth);
  if (request.from < request.to) return request;
  throw point.error(
      point.has("jacobian.from") ? "jacobian.from" : "jacobian.directions",
      fmt::format("the Jacobian from layer {} to layer {} has no factor; expected jacobian.from "
                  "below jacobian.to (\"last\" is {})",
                  request.from, request.to, depth));
}

}  // namespace

std::optional<nn::JacobianRequest> jacobian_of(const sweep::SweepPoint& point,
                                               const nn::NetworkSpec& network) {
  if (!point.has("jacobian.directions")) {
    for (const char* key : {"jacobian.from", "jacobian.to"}) {
      if (!point.has(key)) continue;
      throw point.error(key, "is given without jacobian.directions; write directions = \"all\" or a number");
    }
    return std::nullopt;
  }
  if (network.normalization.kind == nn::NormalizationKind::batch) {
    throw point.error("jacobian.directions",
                      "is given, but batch normalization couples the samples of a batch, and the Jacobian is "
                      "that of one sample; leave the table [jacobian] or the normalization out");
  }
  if (network.recurrence.stack > 1) {
    throw point.error(
        "jacobian.directions",
        "is given, but the state of stacked levels is not one vector; leave the table [jacobian] "
        "out, or network.stack");
  }
  nn::JacobianRequest request = jacobian_between(point, network.depth());
  const int most = std::min(network.widths[request.from], network.widths[request.to]);
  const auto* number = std::get_if<std::int64_t>(&point.at("jacobian.directions"));
  if (number && *number > most) {
    throw point.error("jacobian.directions",
                      fmt::format("read {}, but the Jacobian from layer {} to layer {} has {} directions; "
                                  "expected \"all\" or at most {}",
                                  *number, request.from, request.to, most, most));
  }
  request.directions = number ? int(*number) : most;
  request.all = request.directions == most && (!number || most == network.widths[request.to]);
  return request;
}

}  // namespace gradflow::experiment
