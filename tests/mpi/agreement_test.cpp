#include "gradflow/mpi/agreement.hpp"

#include <functional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {
namespace {

/// What this rank hears: the kind of exception and its text.
std::string heard(const std::function<void()>& act) {
  try {
    act();
    return "nothing";
  } catch (const UserError& error) {
    return std::string("mistake: ") + error.what();
  } catch (const CommonError& error) {
    return std::string("common error: ") + error.what();
  }
}

TEST(Agreement, OnRank0IsNoNewsIfItActsWell) {
  const Communicator world = Communicator::world();
  int acted = 0;

  EXPECT_EQ(heard([&] { on_root(world, [&] { ++acted; }); }), "nothing");

  EXPECT_EQ(acted, world.rank() == 0 ? 1 : 0);
}

TEST(Agreement, TellsEveryRankOfAMistakeOnRank0) {
  const Communicator world = Communicator::world();

  const std::string news = heard([&] { on_root(world, [] { throw UserError("no such file"); }); });

  EXPECT_EQ(news, "mistake: no such file");
}

TEST(Agreement, TellsEveryRankOfAnErrorOnRank0) {
  const Communicator world = Communicator::world();

  const std::string news = heard([&] { on_root(world, [] { throw std::runtime_error("disk full"); }); });

  EXPECT_EQ(news, "common error: disk full");
}

TEST(Agreement, TellsEveryRankWhatTheFirstRankThatFailedSays) {
  const Communicator world = Communicator::world();
  const int first = world.size() / 2;
  const auto act = [&] {
    if (world.rank() >= first) throw UserError("rank " + std::to_string(world.rank()));
  };

  EXPECT_EQ(heard([&] { on_each(world, act); }), "mistake: rank " + std::to_string(first));
}

TEST(Agreement, OfAllRanksIsNoNewsIfAllActWell) {
  const Communicator world = Communicator::world();

  EXPECT_EQ(heard([&] { on_each(world, [] {}); }), "nothing");
}

TEST(Agreement, SumsOverTheRanks) {
  const Communicator world = Communicator::world();
  const auto ranks = std::uint64_t(world.size());

  EXPECT_EQ(world.sum(std::uint64_t(world.rank()) + 1), ranks * (ranks + 1) / 2);
}

TEST(Agreement, FindsTheLargestNumberOfAnyRank) {
  const Communicator world = Communicator::world();

  EXPECT_EQ(world.max(0.5 - world.rank()), 0.5);
  EXPECT_EQ(world.max(world.rank() - 0.5), world.size() - 1.5);
}

}  // namespace
}  // namespace gradflow::mpi
