#include <filesystem>
#include <fstream>
#include <ostream>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "sweep/example.hpp"

namespace gradflow::sweep {
namespace {

using example::refusal_of;
using testing::HasSubstr;
using testing::StartsWith;

struct Mistake {
  std::string text;
  std::string message;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.text; }

class EveryMistake : public testing::TestWithParam<Mistake> {};

TEST_P(EveryMistake, IsNamedWithItsPlace) { EXPECT_EQ(refusal_of(GetParam().text), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    OfNames, EveryMistake,
    testing::Values(
        Mistake{"[init]\nsigma_x = 1\n",
                "x.toml:2:1: init.sigma_x: unknown key; did you mean init.sigma_w? known keys: init.sigma_w "
                "init.sigma_b"},
        Mistake{
            "[netwrk]\ndepth = 3\n",
            "x.toml:2:1: netwrk.depth: unknown key; did you mean network.depth? known keys: title seed "
            "network.block network.depth network.width network.widths network.activation "
            "network.branch_scale init.sigma_w "
            "init.sigma_b data.source data.path backward.source jacobian.directions run.checks run.threads"},
        Mistake{"[sweep]\n  init.mean = [1]\n",
                "x.toml:2:8: init.mean: unknown key; known keys: init.sigma_w init.sigma_b"},
        Mistake{"[[zip]]\ninit.gain = [1]\n",
                "x.toml:2:6: init.gain: unknown key; known keys: init.sigma_w init.sigma_b"},
        Mistake{
            "'init.sigma_w' = 1\n",
            "x.toml:1:1: \"init.sigma_w\": unknown key; did you mean init.sigma_w? known keys: title seed "
            "network.block network.depth network.width network.widths network.activation "
            "network.branch_scale init.sigma_w "
            "init.sigma_b data.source data.path backward.source jacobian.directions run.checks run.threads"},
        Mistake{
            "[network]\nactivation = \"tahn\"\n",
            "x.toml:2:14: network.activation: unknown activation \"tahn\"; choose one of: linear tanh erf "
            "leaky_relu"},
        Mistake{
            "[sweep]\nnetwork.activation = ['erf', { name = 'relu' }]\n",
            "x.toml:2:30: network.activation: unknown activation \"relu\"; choose one of: linear tanh erf "
            "leaky_relu"},
        Mistake{
            "[network]\nactivation = { name = 'tanh', slope = 0.1 }\n",
            "x.toml:2:14: network.activation: activation \"tanh\" has no parameter \"slope\"; it has none"},
        Mistake{"[sweep]\nnetwork.activation = ['tanh', { name = 'leaky_relu', slop = 0.1 }]\n",
                "x.toml:2:31: network.activation: activation \"leaky_relu\" has no parameter \"slop\"; it "
                "has: mode slope"},
        Mistake{"[network]\nactivation = { name = 'leaky_relu', slope = '0.1' }\n",
                "x.toml:2:14: network.activation: parameter \"slope\" of \"leaky_relu\": expected a number"},
        Mistake{"[network]\nactivation = { name = 'leaky_relu', mode = 1 }\n",
                "x.toml:2:14: network.activation: parameter \"mode\" of \"leaky_relu\": expected a text in "
                "quotes"},
        Mistake{"[network]\nblock = { name = 'dense', gates = 2 }\n",
                "x.toml:2:9: network.block: block \"dense\" has no parameter \"gates\"; it has none"}));

INSTANTIATE_TEST_SUITE_P(
    OfTypes, EveryMistake,
    testing::Values(
        Mistake{"[network]\ndepth = 2.0\n", "x.toml:2:9: network.depth: read 2.0; expected an integer"},
        Mistake{"[network]\ndepth = '2'\n", "x.toml:2:9: network.depth: read \"2\"; expected an integer"},
        Mistake{"[sweep]\nnetwork.depth = [1, 2.5]\n",
                "x.toml:2:21: network.depth: read 2.5; expected an integer"},
        Mistake{"[init]\nsigma_w = 'one'\n", "x.toml:2:11: init.sigma_w: read \"one\"; expected a number"},
        Mistake{"[init]\nsigma_w = 2020-01-01\n",
                "x.toml:2:11: init.sigma_w: read a date or time; expected a number"},
        Mistake{"[init]\nsigma_w = [1, 2]\n",
                "x.toml:2:11: init.sigma_w: read a list; expected a number; several values of a key stand in "
                "[sweep]"},
        Mistake{"[init]\nsigma_w = { linspace = [1, 2, 3] }\n",
                "x.toml:2:11: init.sigma_w: read a table; expected a number; several values of a key stand "
                "in [sweep]"},
        Mistake{"[network]\nwidths = [3, 'a']\n",
                "x.toml:2:10: network.widths: read a list; expected a list of integers; several values of a "
                "key stand "
                "in [sweep]"},
        Mistake{"[sweep]\nnetwork.widths = [3, 4]\n",
                "x.toml:2:19: network.widths: read 3; expected a list of integers"},
        Mistake{
            "[network]\nactivation = { slope = 1 }\n",
            "x.toml:2:14: network.activation: read a table; expected a name in quotes or { name = \"...\", "
            "parameter = value }"},
        Mistake{"[network]\nactivation = { name = 'erf', slope = [1] }\n",
                "x.toml:2:38: network.activation.slope: read a list; expected a finite number or a text in "
                "quotes"},
        Mistake{"[run]\nchecks = 1\n", "x.toml:2:10: run.checks: read 1; expected true or false"},
        Mistake{"seed = '18446744073709551616'\n",
                "x.toml:1:8: seed: read \"18446744073709551616\"; expected an integer, or in quotes the "
                "digits of one "
                "below 2^64"},
        Mistake{"network = 3\n",
                "x.toml:1:1: network: unknown key; known keys: title seed network.block network.depth "
                "network.width "
                "network.widths "
                "network.activation network.branch_scale init.sigma_w init.sigma_b data.source data.path "
                "backward.source jacobian.directions run.checks run.threads"}));

INSTANTIATE_TEST_SUITE_P(
    OfValues, EveryMistake,
    testing::Values(
        Mistake{"[network]\ndepth = -3\n",
                "x.toml:2:9: network.depth: read -3; expected a number from 1 to 1000000"},
        Mistake{"[network]\ndepth = 3000000000\n",
                "x.toml:2:9: network.depth: read 3000000000; expected a number from 1 to 1000000"},
        Mistake{"[network]\nwidths = [3, 0]\n",
                "x.toml:2:10: network.widths: read [3, 0]; expected at least 1"},
        Mistake{"[init]\nsigma_w = -1\n", "x.toml:2:11: init.sigma_w: read -1.0; expected at least 0"},
        Mistake{"[init]\nsigma_w = nan\n", "x.toml:2:11: init.sigma_w: read nan; expected a finite number"},
        Mistake{"[sweep]\ninit.sigma_w = [1, -inf]\n",
                "x.toml:2:20: init.sigma_w: read -inf; expected a finite number"}));

INSTANTIATE_TEST_SUITE_P(
    OfAxes, EveryMistake,
    testing::Values(
        Mistake{"[sweep]\nseed = []\n", "x.toml:2:8: seed: the axis is empty; expected at least one value"},
        Mistake{
            "[sweep]\nseed = 3\n",
            "x.toml:2:8: seed: read 3; expected an axis: an array of values, or a table with one of linspace "
            "logspace range random"},
        Mistake{"[sweep]\nnetwork.activation = { name = 'erf' }\n",
                "x.toml:2:22: network.activation: read a table; expected an axis: an array of values, or a "
                "table with "
                "one of linspace logspace range random"},
        Mistake{"[sweep]\nrun.threads = [1, 2]\n",
                "x.toml:2:15: run.threads: cannot be swept; expected one value, outside [sweep] and [[zip]]"},
        Mistake{"sweep = 3\n", "x.toml:1:9: sweep: read 3; expected the table [sweep]"},
        Mistake{"[zip]\nseed = [1]\n",
                "x.toml:1:1: zip: read a table; expected [[zip]] with keys and their values"},
        Mistake{"seed = 1\n[[zip]]\n",
                "x.toml:2:1: zip: no key; expected [[zip]] with keys and their values"},
        Mistake{
            "[[zip]]\ninit.sigma_w = [1, 2, 3]\ninit.sigma_b = [1, 2]\n",
            "x.toml:3:16: init.sigma_b: has 2 values, but init.sigma_w (x.toml:2:16) has 3; the keys of one "
            "[[zip]] advance together"},
        Mistake{
            "[sweep]\nseed = [1]\n[[zip]]\nseed = [2]\n",
            "x.toml:4:8: seed: already swept at x.toml:2:8; a key stands once, in [sweep] or in one [[zip]]"},
        Mistake{
            "[sweep]\ninit.sigma_w = [0.5, 1, 1.0]\n",
            "x.toml:2:25: init.sigma_w: value 3 of the axis repeats value 2: 1.0; expected different values"},
        Mistake{
            "[sweep]\ninit.sigma_w = [0.0, -0.0]\n",
            "x.toml:2:22: init.sigma_w: value 2 of the axis repeats value 1: 0.0; expected different values"},
        Mistake{"[sweep]\nnetwork.activation = ['leaky_relu', { name = 'leaky_relu', slope = 0.01 }]\n",
                "x.toml:2:37: network.activation: value 2 of the axis repeats value 1: {leaky_relu, slope = "
                "0.01}; expected different values"},
        Mistake{"[[zip]]\nseed = [1, 1, 1]\ninit.sigma_w = [1, 2, 1]\n",
                "x.toml:2:15: seed: value 3 of the axis repeats value 1: 1, 1.0; expected different values"},
        Mistake{"[sweep]\nseed = { range = [0, 100000] }\nnetwork.depth = { range = [1, 100001] }\n"
                "init.sigma_w = { range = [0, 100000] }\ninit.sigma_b = { range = [0, 100000] }\n",  // 10^20
                "x.toml: the grid has 2^64 points or more; expected fewer or shorter axes"}));

INSTANTIATE_TEST_SUITE_P(
    OfSyntax, EveryMistake,
    testing::Values(
        Mistake{"seed = 1\nb = = 2\n",
                "x.toml:2:5: TOML syntax error: Error while parsing value: could not determine value type"},
        Mistake{"title = 'ö' # ö\n[init]\nσ_w = 2\n",
                "x.toml:3:1: TOML syntax error: Error while parsing root table: expected keys, tables, "
                "whitespace or comments, saw 'σ'"},
        Mistake{"title = 'öö' ö\n",
                "x.toml:1:14: TOML syntax error: Error while parsing key-value pair: expected a comment or "
                "whitespace, saw 'ö'"},
        Mistake{"seed = 1\n[sweep]\n\n[=]\nseed = 2\n",  // toml++ calls this its own mistake
                "x.toml:4:1: TOML syntax error: expected a table, [section], or key = value"},
        Mistake{"seed = 9223372036854775808\n",
                "x.toml:1:27: TOML syntax error: Error while parsing decimal integer: "
                "'9223372036854775808' is not representable in 64 bits"}));

std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST(Syntax, AllowsLettersBeyondAsciiInTextsAndComments) {
  const Sweep sweep =
      example::sweep_of("\xEF\xBB\xBF# ö\ntitle = \"\"\"Ordnung \\\n  über Chaos\"\"\" # ö\n");

  EXPECT_EQ(sweep.title(),
            "Ordnung über Chaos");  // after the \ at a line's end toml++ 3.3 takes letters for impossible
}

std::string key_of_parts(int parts) { return fmt::format("\n{}a = 1\n", repeated("a.", parts - 1)); }

TEST(Limits, RefuseAKeyOfMoreThanSixteenPartsBeforeParsing) {
  const std::string refusal = "x.toml:2:32: key: too many parts; expected at most 16";

  EXPECT_EQ(refusal_of(key_of_parts(50001)),
            refusal);  // overflows the parser's stack
  EXPECT_EQ(refusal_of(key_of_parts(17)), refusal);
  EXPECT_THAT(refusal_of(key_of_parts(16)), HasSubstr("unknown key"));
}

TEST(Limits, SeeLongKeysWhereverTheyHide) {
  const std::string key = repeated("a . ", 40) + "a = 1";

  for (const std::string before :
       {"[", "a = { b = \"\"\"x\"\"\"\", ", "a = '\\'\n", "a = \"#\" # \"\n", "s = '''\n''''\n",
        "s = \"\"\"\\\"\"\"\"\n", "s = \"\"\n", "s = [\"\",'']\n"}) {
    EXPECT_THAT(refusal_of(before + key), HasSubstr("too many parts")) << before;
  }
  EXPECT_THAT(refusal_of(repeated("\"x\\\"\".'y#'.", 20) + "a = 1"), HasSubstr("too many parts"));
}

TEST(Limits, DoNotCountDotsInStringsAndComments) {
  const std::string dots = repeated("a.", 40);

  EXPECT_EQ(refusal_of(fmt::format("title = \"{0}\" # {0}\n", dots)), "accepted");
  EXPECT_EQ(refusal_of(fmt::format("title = '''\n{0}\n{0}'''\n", dots)), "accepted");
  EXPECT_THAT(refusal_of(fmt::format("[sweep]\ninit.sigma_w = [{}1]\n", repeated("0.5, ", 40))),
              HasSubstr("value 2 of the axis repeats value 1: 0.5"));
}

TEST(Limits, RefuseDeepNestingWithAMessage) {
  EXPECT_THAT(refusal_of(fmt::format("a = {}", repeated("[", 20000))),
              StartsWith("x.toml:1:261: TOML syntax error"));
}

TEST(Limits, RefuseMoreThanAMebibyte) {
  const std::string fits(1 << 20, '\n');

  EXPECT_EQ(refusal_of(fits), "accepted");
  EXPECT_EQ(refusal_of(fits + "\n"), "x.toml: the file is too large; expected at most 1048576 bytes");
}

TEST(Messages, StayOnOneShortLine) {
  const std::string refusal =
      refusal_of(fmt::format("[init]\nsigma_w = \"\\n\\u001b[31m{}\"\n", repeated("x", 500)));

  EXPECT_THAT(refusal, StartsWith("x.toml:2:11: init.sigma_w: read \"\\x0a\\x1b[31mxx"));
  EXPECT_THAT(refusal, testing::EndsWith("xx\"...; expected a number"));
}

class FileOnDisk : public testing::Test {
 protected:
  FileOnDisk() { std::filesystem::create_directories(folder); }
  ~FileOnDisk() override { std::filesystem::remove_all(folder); }

  std::string refusal_of(const std::filesystem::path& file) {
    try {
      Sweep::read(file, example::schema());
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }

  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                       testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(FileOnDisk, IsKeptVerbatim) {
  const std::string text = "# why\r\n[sweep]\nseed = [1,2]";
  std::ofstream(folder / "x.toml", std::ios::binary) << text;

  const Sweep sweep = Sweep::read(folder / "x.toml", example::schema(), {"network.depth=4"});

  EXPECT_EQ(sweep.text(), text);
  EXPECT_EQ(sweep.file(), folder / "x.toml");
  EXPECT_THAT(sweep.overrides(), testing::ElementsAre("network.depth=4"));
  EXPECT_EQ(sweep.size(), 2U);
}

TEST_F(FileOnDisk, MustExistAndBeAFile) {
  const std::string missing = (folder / "missing.toml").string();

  EXPECT_EQ(refusal_of(missing),
            missing + ": No such file or directory; expected a readable sweep file (TOML)");
  EXPECT_EQ(refusal_of(folder), folder.string() + ": is a directory; expected a readable sweep file (TOML)");
}

TEST_F(FileOnDisk, IsNotReadBeyondItsLimit) {
  EXPECT_EQ(refusal_of("/dev/zero"), "/dev/zero: the file is too large; expected at most 1048576 bytes");
}

}  // namespace
}  // namespace gradflow::sweep
