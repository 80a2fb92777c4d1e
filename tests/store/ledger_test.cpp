#include "../../src/store/ledger.hpp"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../src/store/piece.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/store/checksum.hpp"
#include "store/sample_sweep.hpp"

namespace gradflow::store {
namespace {

using testing::ElementsAre;

constexpr TravelRule all_travel{2, std::size_t(1) << 20, false};
constexpr TravelRule none_travels{2, 1, false};

Piece piece(const SampleSweep& sweep, std::uint64_t point, int stage, const TravelRule& rule,
            Failure failure = {}) {
  return piece_of(point, sweep.hash(point), sweep.measured(point, stage, rule.stages), failure,
                  sweep.layers(point), rule, stage == 0);
}

std::uint64_t checksum_of(const SampleSweep& sweep, std::uint64_t point) {
  std::uint64_t sum = 0;
  for (const stats::Column& column : sweep.schema().columns) {
    sum += checksum(sweep.hash(point), column, sweep.layers(point), sweep.row(column, point));
  }
  return sum;
}

TEST(ALedger, FinishesAPointWhenEveryStageHasAccountedForIt) {
  const SampleSweep sweep;
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 2);

  ledger.add(piece(sweep, 3, 1, all_travel));
  ledger.add(piece(sweep, 4, 0, all_travel));
  EXPECT_TRUE(ledger.take_finished().empty());
  EXPECT_EQ(ledger.waiting(), 2);
  ledger.add(piece(sweep, 3, 0, all_travel));

  const std::vector<FinishedPoint> finished = ledger.take_finished();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].point, 3);
  EXPECT_EQ(finished[0].status, Status::done);
  EXPECT_EQ(finished[0].values[0], sweep.row(schema.columns[0], 3));
  EXPECT_EQ(finished[0].values[1], sweep.row(schema.columns[1], 3));
  EXPECT_EQ(ledger.waiting(), 1);
}

TEST(ALedger, LeavesOutRowsThatStagesWriteThemselves) {
  const SampleSweep sweep;
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 2);

  ledger.add(piece(sweep, 3, 0, none_travels));
  ledger.add(piece(sweep, 3, 1, none_travels));

  const FinishedPoint finished = ledger.take_finished().at(0);
  EXPECT_TRUE(finished.values[0].empty());
  EXPECT_EQ(finished.values[2],
            sweep.row(schema.columns[2], 3));  // one value per point: the first stage's affair
}

TEST(ALedger, GivesTheSameChecksumHoweverThePointWasCut) {
  const SampleSweep sweep;
  const FileSchema schema = sweep.schema();

  for (const int stages : {1, 2, 3, 6}) {
    Ledger ledger(schema, stages);
    const TravelRule rule{stages, 1, false};
    for (int stage = stages - 1; stage >= 0; --stage) ledger.add(piece(sweep, 3, stage, rule));
    EXPECT_EQ(ledger.take_finished().at(0).checksum, checksum_of(sweep, 3));
  }
}

TEST(ALedger, MakesEveryStatisticOfAFailedPointNaN) {
  const SampleSweep sweep{.run_facts = true};
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 2);

  ledger.add(piece(sweep, 3, 0, none_travels, {FailureCode::non_finite, 7, 2}));
  ledger.add(piece(sweep, 3, 1, none_travels, {FailureCode::phase_lost, 4, 9}));

  const FinishedPoint finished = ledger.take_finished().at(0);
  EXPECT_EQ(finished.status, Status::failed);
  EXPECT_EQ(finished.failure, (Failure{FailureCode::phase_lost, 4, 9}));  // the earlier layer
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_EQ(finished.values[c].size(), sweep.row(schema.columns[c], 3).size());
    for (const double value : finished.values[c]) EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_EQ(finished.values[4], sweep.row(schema.columns[4], 3));  // the time it took is a fact of the run
}

TEST(ALedger, FinishesAPointThatCannotBeBegun) {
  const SampleSweep sweep{.run_facts = true};
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 2);

  ledger.add_failed(3, {FailureCode::too_large, 5, 0});

  ASSERT_TRUE(ledger.has_finished());
  const FinishedPoint finished = ledger.take_finished().front();
  EXPECT_EQ(finished.point, 3u);
  EXPECT_EQ(finished.status, Status::failed);
  EXPECT_EQ(finished.failure, (Failure{FailureCode::too_large, 5, 0}));
  for (std::size_t c = 0; c < schema.columns.size(); ++c) {
    EXPECT_EQ(finished.values[c].size(), sweep.row(schema.columns[c], 3).size());
    for (const double value : finished.values[c]) EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_EQ(ledger.waiting(), 0u);
}

TEST(ALedger, RefusesALayerThatTwoStagesClaim) {
  const SampleSweep sweep;
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 2);
  ledger.add(piece(sweep, 3, 0, all_travel));

  EXPECT_THROW(ledger.add(piece(sweep, 3, 0, all_travel)), BrokenPromise);
}

TEST(ALedger, RefusesAPointOfWhichALayerIsMissing) {
  const SampleSweep sweep;
  const FileSchema schema = sweep.schema();
  Ledger ledger(schema, 1);

  EXPECT_THROW(ledger.add(piece(sweep, 3, 0, all_travel)), BrokenPromise);  // the first half is all there is
}

TEST(APiece, ArrivesAsItWasSent) {
  const SampleSweep sweep;
  const Failure failure{FailureCode::phase_lost, 4, 9};
  const std::vector<Piece> sent{piece(sweep, 3, 0, all_travel), piece(sweep, 4, 1, none_travels, failure)};

  const std::vector<Piece> received = unpacked(packed(sent), sweep.schema().columns.size());

  ASSERT_EQ(received.size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(received[i].point, sent[i].point);
    EXPECT_EQ(received[i].checksum, sent[i].checksum);
    EXPECT_EQ(received[i].failure, sent[i].failure);
    EXPECT_EQ(received[i].first_row, sent[i].first_row);
    EXPECT_EQ(received[i].rows, sent[i].rows);
    EXPECT_EQ(received[i].values, sent[i].values);
  }
}

TEST(ATravelRule, SendsPiecesBelowTheLimitAndThoseOfNobodyElse) {
  const TravelRule rule{4, 4096, false};
  stats::Column column;

  EXPECT_TRUE(rule.travels(column, 4 * 512 - 1));  // 512 doubles are 4 KiB
  EXPECT_FALSE(rule.travels(column, 4 * 512));
  column.extent = 6;
  EXPECT_FALSE(rule.travels(column, 4 * 512 / 6 + 1));
  column.per_layer = false;
  EXPECT_TRUE(rule.travels(column, 1000000));
  EXPECT_TRUE((TravelRule{4, 4096, true}.travels({}, 1000000)));
}

TEST(AChecksum, DependsOnEveryPartOfWhatItSeals) {
  const stats::Column column{"act_log10_q", "", "1", "", "", true, "", 1, false};
  const stats::Column other{"act_log10_r", "", "1", "", "", true, "", 1, false};
  const std::vector<int> layers{1, 2};
  const std::vector<double> values{0.5, -0.25};
  const std::uint64_t sum = checksum(17, column, layers, values);

  EXPECT_NE(checksum(18, column, layers, values), sum);
  EXPECT_NE(checksum(17, other, layers, values), sum);
  EXPECT_NE(checksum(17, column, std::vector{1, 3}, values), sum);
  EXPECT_NE(checksum(17, column, layers, std::vector{-0.25, 0.5}), sum);
}

TEST(AChecksum, IsTheSumOfItsRows) {
  const stats::Column column{"act_log10_q", "", "1", "", "", true, "", 1, false};

  const std::uint64_t whole = checksum(17, column, std::vector{1, 2, 5}, std::vector{0.5, -0.25, 3.0});

  EXPECT_EQ(whole, checksum(17, column, std::vector{1}, std::vector{0.5}) +
                       checksum(17, column, std::vector{2, 5}, std::vector{-0.25, 3.0}));
}

TEST(AChecksum, LeavesOutFactsOfOneRun) {
  const stats::Column column{"wall_seconds", "", "s", "", "", false, "", 1, true};

  EXPECT_EQ(checksum(17, column, {}, std::vector{0.5}), 0);
}

// Frozen: files written today must verify for ever. XXH64 of the 27 bytes 17, "abc", 2, 0.5 (numbers of 64
// bits, little-endian), computed by a C program of five lines.
TEST(AChecksum, IsTheDocumentedHash) {
  const stats::Column column{"abc", "", "1", "", "", true, "", 1, false};

  EXPECT_EQ(checksum(17, column, std::vector{2}, std::vector{0.5}), 0xc2f4acf5ce17a5c9ull);
}

}  // namespace
}  // namespace gradflow::store
