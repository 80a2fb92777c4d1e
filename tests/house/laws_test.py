"""laws.md names tests that exist, has lost no law, and misses no test of the files that measure laws."""
import re
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).parents[1]

# How many laws each heading of laws.md has. A law that is added is added here: one that is lost is then missed.
LAWS = {"Exact laws at finite width": 11, "Mean field": 13, "Isometry": 2, "Normalisation": 3, "Residual blocks": 5,
        "Recurrent networks": 5, "Dead units and dead networks": 1, "Shattering, bias shift": 2, "Floating point": 2,
        "Identities of gradients": 4}

# Every test in here is one of a law.
FILES_OF_LAWS = [f"experiment/{name}_test.cpp" for name in (
    "dead_units", "deep_line", "finite_width", "glorot", "gradient_identities", "mean_field", "normalization_law",
    "orthogonal", "recurrent_law", "residual_law", "shattering")] + ["nn/recurrent_law_test.cpp"]


def tests_of(*files):
    """Suite.Name of every GoogleTest, Class.test_name of every Python test."""
    found = set()
    for path in files:
        text = path.read_text()
        found |= {".".join(pair) for pair in re.findall(r"TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", text)}
        for suite in re.split(r"(?m)^class ", text)[1:]:
            name = re.match(r"\w+", suite)[0]
            found |= {f"{name}.{test}" for test in re.findall(r"def (test_\w+)", suite)}
    return found


def laws():
    """The rows under each heading."""
    found = {}
    for section in re.split(r"(?m)^## ", (TESTS / "laws.md").read_text())[1:]:
        lines = section.splitlines()
        found[lines[0]] = [line for line in lines if line.startswith("|")][2:]
    return found


def names_in(row):
    return re.findall(r"[A-Z]\w+\.(?:[A-Z]|test_)\w+", row.split("|")[-2])


class Laws(unittest.TestCase):
    def test_none_is_lost(self):
        self.assertEqual({heading: len(rows) for heading, rows in laws().items()}, LAWS)

    def test_name_tests_that_exist(self):
        known = tests_of(*TESTS.rglob("*_test.cpp"), *TESTS.rglob("*_test.py"))
        for row in sum(laws().values(), []):
            self.assertTrue(names_in(row), row)
            self.assertLessEqual(set(names_in(row)), known)

    def test_have_every_test_of_the_files_of_laws(self):
        named = {name for row in sum(laws().values(), []) for name in names_in(row)}
        self.assertLessEqual(tests_of(*(TESTS / file for file in FILES_OF_LAWS)), named)


if __name__ == "__main__":
    sys.exit(unittest.main())
