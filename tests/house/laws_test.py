"""Every test that laws.md names is there."""
import re
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).parents[1]


class Laws(unittest.TestCase):
    def test_name_tests_that_exist(self):
        sources = "\n".join(path.read_text() for path in TESTS.rglob("*_test.cpp"))
        known = {".".join(pair) for pair in re.findall(r"TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", sources)}
        known |= {".".join(pair) for pair in re.findall(r"TYPED_TEST\((\w+),\s*(\w+)\)", sources)}
        rows = [line for line in (TESTS / "laws.md").read_text().splitlines() if line.startswith("|")][2:]
        self.assertGreater(len(rows), 30)
        for row in rows:
            names = re.findall(r"[A-Z]\w+\.[A-Z]\w+", row.split("|")[-2])
            self.assertTrue(names, row)
            for name in names:
                self.assertIn(name, known)


if __name__ == "__main__":
    sys.exit(unittest.main())
