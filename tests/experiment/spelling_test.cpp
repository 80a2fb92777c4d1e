#include <cstdint>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {
namespace {

sweep::Sweep sweep_of(const std::string& text) { return sweep::Sweep::parse(text, "x.toml", sweep_schema()); }

std::uint64_t hash_of(const std::string& network) {
  return sweep_of(fmt::format("[network]\n{}\n", network)).point(0).hash();
}

std::string refusal_of(const std::string& text) {
  try {
    sweep_of(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

// The numbers are frozen: result files keep them. From an xxh64 written in another language.

TEST(Spelling, OfEqualWidthsIsDepthAndWidth) {
  const auto hash = 0xe1a985435a0ca6ccU;  // network.depth=2, network.width=64

  EXPECT_EQ(hash_of("depth = 2\nwidth = 64"), hash);
  EXPECT_EQ(hash_of("widths = [64, 64, 64]"), hash);
  EXPECT_EQ(sweep_of("[sweep]\nnetwork.widths = [[64, 32], [64, 64, 64]]\n").point(1).hash(), hash);
}

TEST(Spelling, OfOtherWidthsIsTheList) {
  EXPECT_EQ(hash_of("widths = [64, 32]"), 0x56309ecffd8c32fbU);  // network.widths=[64,32]
  EXPECT_NE(hash_of("widths = [64, 64]"), hash_of("widths = [64, 64, 64]"));
  EXPECT_NE(hash_of("widths = [64, 64, 32]"), hash_of("widths = [64, 32, 64]"));
}

TEST(Spelling, OfEveryActivationLeavesOutItsDefaultParameter) {
  for (const nn::ActivationRow& row : nn::activations()) {
    if (row.parameter.empty()) continue;
    const std::string name = fmt::format("\"{}\"", row.name);
    const auto with = [&](double number) {
      return fmt::format("{{ name = \"{}\", {} = {} }}", row.name, row.parameter, number);
    };
    const std::string written = with(row.default_parameter);

    EXPECT_EQ(hash_of("activation = " + written), hash_of("activation = " + name));
    EXPECT_NE(hash_of("activation = " + with(row.default_parameter + 1)), hash_of("activation = " + name));
    EXPECT_THAT(refusal_of(fmt::format("[sweep]\nnetwork.activation = [{}, {}]\n", name, written)),
                testing::HasSubstr("value 2 of the axis repeats value 1"));
  }
}

}  // namespace
}  // namespace gradflow::experiment
