#include "gradflow/core/contained.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/printable.hpp"

namespace gradflow {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr Allowance ample{1 << 30, 60};

TEST(Contained, TellsWhatTheChildSaidAndReturned) {
  const Ending ending = contained(ample, [] {
    std::fputs("it is damaged\n", stderr);
    return 2;
  });

  EXPECT_EQ(ending.status, 2);
  EXPECT_EQ(ending.signal, 0);
  EXPECT_EQ(ending.complaint, "it is damaged\n");
  EXPECT_THAT(ending.cause_of_death(), IsEmpty());
}

TEST(Contained, OutlivesACrash) {
  const Ending ending = contained(ample, [] { return std::raise(SIGSEGV), std::raise(SIGKILL); });

  EXPECT_NE(ending.signal + ending.status, 0);  // a sanitizer turns the signal into an exit status
}

TEST(Contained, EndsWhatHangs) {
  const Ending ending = contained({1 << 30, 1}, [] {
    const volatile bool forever = true;
    while (forever) {
    }
    return 0;
  });

  EXPECT_EQ(ending.signal, SIGXCPU);
  EXPECT_EQ(ending.cause_of_death(), "hung");
}

TEST(Contained, GivesNoMemoryBeyondTheAllowance) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SUCCEED() << "a sanitizer's own memory is larger than any limit";
#else
  const Ending ending = contained({64 << 20, 60}, [] {
    try {
      const std::vector<char> all(256 << 20, 'x');
      const volatile char* const kept = all.data();  // clang leaves out an allocation that nobody sees
      return int(kept[all.size() / 2]);
    } catch (const std::bad_alloc&) {
      return 2;
    }
  });

  EXPECT_EQ(ending.status, 2);
#endif
}

TEST(Contained, AllowsMoreForLargerFilesButNotMoreThanThereIs) {
  EXPECT_LT(allowance_for(0).bytes, allowance_for(100 << 20).bytes);
  EXPECT_LT(allowance_for(0).cpu_seconds, allowance_for(100 << 20).cpu_seconds);
  EXPECT_EQ(allowance_for(~std::uint64_t(0)).bytes, allowance_for(~std::uint64_t(0) / 2).bytes);
}

TEST(Printable, LeavesNothingThatATerminalObeys) {
  EXPECT_EQ(printable("\x1b[31mred\r\n\x07"), "?[31mred???");
  EXPECT_EQ(printable_lines("two\n\tlines\x1b"), "two\n\tlines?");
  EXPECT_EQ(printable_lines(""), "");
  EXPECT_EQ(printable("\u03c3 \xff"), "\u03c3 ?");
}

}  // namespace
}  // namespace gradflow
