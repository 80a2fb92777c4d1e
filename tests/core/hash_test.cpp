#include "gradflow/core/hash.hpp"

#include <string_view>

#include <gtest/gtest.h>

namespace gradflow {
namespace {

// From an XXH64 written in another language after its specification, which gives the published answers for
// "", "a", "abc" and the fox. The fox is longer than the 32 bytes of a stripe and leaves 8 + 3 bytes over.

TEST(Xxh64, GivesThePublishedAnswers) {
  EXPECT_EQ(xxh64(""), 0xef46db3751d8e999U);
  EXPECT_EQ(xxh64("a"), 0xd24ec4f1a98c6e5bU);
  EXPECT_EQ(xxh64("abc"), 0x44bc2cf5ad770999U);
  EXPECT_EQ(xxh64("The quick brown fox jumps over the lazy dog"), 0x0b242d361fda71bcU);
}

TEST(Xxh64, DependsOnItsSeed) {
  EXPECT_EQ(xxh64("", 2024), 0xe84d3343666d53baU);
  EXPECT_EQ(xxh64("The quick brown fox jumps over the lazy dog", 2024), 0xaf589c9bf9960431U);
}

TEST(Xxh64, GoesOnBehindAZeroByte) { EXPECT_EQ(xxh64(std::string_view("a\0b", 3)), 0xb51b25d68d1338c1U); }

}  // namespace
}  // namespace gradflow
