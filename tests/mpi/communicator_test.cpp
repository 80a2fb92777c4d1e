#include "gradflow/mpi/communicator.hpp"

#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {
namespace {

Buffer bytes_of(const std::string& text) {
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

std::string text_of(const Buffer& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int right_of(const Communicator& comm) { return (comm.rank() + 1) % comm.size(); }
int left_of(const Communicator& comm) { return (comm.rank() + comm.size() - 1) % comm.size(); }

constexpr int tag = 7;
constexpr std::size_t rendezvous_bytes = std::size_t(1) << 22;  // above every eager limit

TEST(Communicator, PassesMessagesRoundARingInOrder) {
  const Communicator world = Communicator::world();

  PendingReceive first = world.receive(100, left_of(world), tag);
  PendingReceive second = world.receive(100, left_of(world), tag);
  PendingSend one = world.send(bytes_of("first of " + std::to_string(world.rank())), right_of(world), tag);
  PendingSend two = world.send(bytes_of("second"), right_of(world), tag);

  EXPECT_EQ(text_of(std::move(second).wait()), "second");
  EXPECT_EQ(text_of(std::move(first).wait()), "first of " + std::to_string(left_of(world)));
  std::move(one).wait();
  std::move(two).wait();
}

TEST(Communicator, LetsNeighboursSendLargeMessagesToEachOtherAtOnce) {
  const Communicator world = Communicator::world();
  const Buffer large(rendezvous_bytes, std::byte(world.rank()));

  PendingSend right = world.send(large, right_of(world), tag);
  PendingSend left = world.send(large, left_of(world), tag);
  PendingReceive from_left = world.receive(rendezvous_bytes, left_of(world), tag);
  PendingReceive from_right = world.receive(rendezvous_bytes, right_of(world), tag);

  EXPECT_EQ(std::move(from_left).wait(), Buffer(rendezvous_bytes, std::byte(left_of(world))));
  EXPECT_EQ(std::move(from_right).wait(), Buffer(rendezvous_bytes, std::byte(right_of(world))));
  std::move(right).wait();
  std::move(left).wait();
}

TEST(Communicator, SendsAnEmptyMessage) {
  const Communicator world = Communicator::world();

  PendingSend out = world.send({}, right_of(world), tag);
  PendingReceive in = world.receive(10, left_of(world), tag);

  EXPECT_TRUE(std::move(in).wait().empty());
  std::move(out).wait();
}

TEST(Communicator, SaysWhetherAMessageIsThere) {
  const Communicator world = Communicator::world();

  PendingReceive in = world.receive(10, left_of(world), tag);
  EXPECT_FALSE(in.ready());
  world.barrier();
  PendingSend out = world.send(bytes_of("now"), right_of(world), tag);
  while (!in.ready()) std::this_thread::yield();

  EXPECT_EQ(text_of(std::move(in).wait()), "now");
  std::move(out).wait();
}

TEST(Communicator, RefusesAMessageLongerThanTheRoomForIt) {
  const Communicator world = Communicator::world();
  if (world.size() == 1) return;  // Open MPI 4.1 cuts a rank's message to itself without a word

  PendingReceive in = world.receive(3, left_of(world), tag);
  PendingSend out = world.send(bytes_of("too long"), right_of(world), tag);

  EXPECT_THROW(std::move(in).wait(), Error);
}

TEST(Communicator, ReportsAFailedCallInTheWordsOfMpi) {
  const Communicator world = Communicator::world();

  try {
    world.send({}, world.size(), tag);
    FAIL() << "there is no such rank";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("MPI_ERR_RANK"));
  }
}

TEST(Communicator, PollsMessagesOfAnySizeFromAnyone) {
  const Communicator world = Communicator::world();
  const std::string mine(std::size_t(world.rank()) * 100'000, 'x');

  PendingSend out = world.send(bytes_of(mine), 0, tag);

  if (world.rank() == 0) {
    for (int left = world.size(); left > 0;) {
      const std::optional<Message> message = world.poll(tag);
      if (!message) continue;
      EXPECT_EQ(message->bytes.size(), std::size_t(message->from) * 100'000);
      --left;
    }
    EXPECT_FALSE(world.poll(tag));
  }
  std::move(out).wait();
  world.barrier();
}

TEST(Communicator, KeepsMessagesOfOtherCommunicatorsApart) {
  const Communicator world = Communicator::world();
  const Communicator other = Communicator::world();

  PendingSend first = world.send(bytes_of("world"), right_of(world), tag);
  PendingSend second = other.send(bytes_of("other"), right_of(world), tag);

  EXPECT_EQ(text_of(other.receive(10, left_of(world), tag).wait()), "other");
  EXPECT_EQ(text_of(world.receive(10, left_of(world), tag).wait()), "world");
  std::move(first).wait();
  std::move(second).wait();
}

TEST(Communicator, SplitsByColourInTheOrderOfTheKeys) {
  const Communicator world = Communicator::world();

  const Communicator half = world.split(world.rank() % 2, -world.rank());

  const int members = (world.size() + 1 - world.rank() % 2) / 2;
  EXPECT_EQ(half.size(), members);
  EXPECT_EQ(half.rank(), members - 1 - world.rank() / 2);
}

TEST(Communicator, BroadcastsFromAnyRoot) {
  const Communicator world = Communicator::world();
  const int last = world.size() - 1;

  EXPECT_EQ(world.broadcast(std::string(world.rank() == 0 ? "from rank 0" : "")), "from rank 0");
  EXPECT_EQ(world.broadcast(world.rank() + 0.5, last), last + 0.5);
  EXPECT_EQ(world.broadcast(Buffer(std::size_t(world.rank()) + 1), last).size(), std::size_t(last) + 1);
}

TEST(Communicator, GathersStringsOfDifferentLengthsByRank) {
  const Communicator world = Communicator::world();

  const std::vector<std::string> all =
      world.gather(std::string(std::size_t(world.rank()), 'a' + char(world.rank())));

  ASSERT_EQ(all.size(), world.rank() == 0 ? std::size_t(world.size()) : 0u);
  for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], std::string(r, 'a' + char(r)));
}

TEST(Communicator, AgreesOnlyIfEveryRankDoes) {
  const Communicator world = Communicator::world();
  const bool is_last = world.rank() == world.size() - 1;

  EXPECT_TRUE(world.all_agree(true));
  EXPECT_FALSE(world.all_agree(!is_last));
  EXPECT_TRUE(world.all_equal(0xFFFF'FFFF'FFFF'FFFF));
  EXPECT_EQ(world.all_equal(is_last ? 0 : 1), world.size() == 1);
}

// One rank fails between posting and waiting; the messages of the others must still go where they belong.
TEST(PendingMessages, CanBeDroppedByAnException) {
  const Communicator world = Communicator::world();

  const auto fail = [&] {
    const PendingReceive never_sent = world.receive(rendezvous_bytes, left_of(world), tag);
    const PendingSend not_received_yet =
        world.send(Buffer(rendezvous_bytes, std::byte(5)), right_of(world), tag + 1);
    throw std::runtime_error("in between");
  };
  EXPECT_THROW(fail(), std::runtime_error);
  world.barrier();  // every receive is cancelled before anything is sent that it could take
  PendingReceive late = world.receive(rendezvous_bytes, left_of(world), tag + 1);
  EXPECT_EQ(std::move(late).wait(), Buffer(rendezvous_bytes, std::byte(5)));

  // The cancelled receive takes nothing away from the next one.
  PendingSend out = world.send(bytes_of("after"), right_of(world), tag);
  EXPECT_EQ(text_of(world.receive(10, left_of(world), tag).wait()), "after");
  std::move(out).wait();
  world.barrier();
}

TEST(PendingMessages, KeepTheirBufferWhenMoved) {
  const Communicator world = Communicator::world();
  std::vector<PendingReceive> in;
  std::vector<PendingSend> out;

  for (int i = 0; i < 20; ++i) {  // both vectors move their members as they grow
    in.push_back(world.receive(rendezvous_bytes / 8, left_of(world), tag));
    out.push_back(world.send(Buffer(rendezvous_bytes / 8, std::byte(i)), right_of(world), tag));
  }

  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(std::move(in[std::size_t(i)]).wait(), Buffer(rendezvous_bytes / 8, std::byte(i)));
    std::move(out[std::size_t(i)]).wait();
  }
}

}  // namespace
}  // namespace gradflow::mpi
