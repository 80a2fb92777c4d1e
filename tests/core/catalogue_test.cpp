#include "gradflow/core/catalogue.hpp"

#include <array>

#include <gtest/gtest.h>

namespace gradflow {
namespace {

struct Planet {
  std::string_view name;
  int moons;
};

constexpr std::array planets{Planet{"earth", 1}, Planet{"mars", 2}, Planet{"marsupilami", 0}};
constexpr std::span<const Planet> table = planets;

std::string refusal_of(std::string_view name) {
  try {
    find(table, "planet", name);
  } catch (const UserError& error) {
    return error.what();
  }
  return "found";
}

TEST(Catalogue, FindsTheRowItself) {
  EXPECT_EQ(&find(table, "planet", "earth"), &planets[0]);
  EXPECT_EQ(&find(table, "planet", "mars"), &planets[1]);
}

TEST(Catalogue, NamesWhatItKnowsToWhoAsksForSomethingElse) {
  EXPECT_EQ(refusal_of("mras"), "unknown planet \"mras\"; choose one of: earth mars marsupilami");
  EXPECT_EQ(refusal_of("mar"), "unknown planet \"mar\"; choose one of: earth mars marsupilami");
  EXPECT_EQ(refusal_of("Mars"), "unknown planet \"Mars\"; choose one of: earth mars marsupilami");
  EXPECT_EQ(refusal_of(""), "unknown planet \"\"; choose one of: earth mars marsupilami");
}

TEST(Catalogue, ListsItsNamesInOrder) {
  EXPECT_EQ(names_of(table), "earth mars marsupilami");
  EXPECT_EQ(names_of(table.first(0)), "");
}

}  // namespace
}  // namespace gradflow
