"""The benchmark program: every kind of section measures something, in a table and in JSON. No figure is asserted."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BENCH = sys.argv.pop(1)
PEER = Path(__file__).parents[2] / "apps" / "bench" / "pytorch_peer.py"

# Those that take seconds; the others differ from them in their sizes.
SECTIONS = ["random", "activations", "store", "makespan"]


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500)


class Bench(unittest.TestCase):
    def test_table_and_json_hold_the_same_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "bench.json")
            ended = run(BENCH, "--repeats", "1", "--only", ",".join(SECTIONS), "--folder", folder, "--json", file)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            written = json.loads(file.read_text())
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["bench.json"])
        self.assertEqual(written["machine"]["repeats"], 1)
        figures = written["figures"]
        self.assertEqual(list(dict.fromkeys(figure["section"] for figure in figures)), SECTIONS)
        rows = [line for line in ended.stdout.splitlines() if line.startswith("  ") and not line.startswith("  case ")]
        self.assertEqual(len(rows), len(figures))
        for figure, row in zip(figures, rows):
            self.assertIn(figure["case"][:20], row)
            self.assertGreater(figure["median"], 0, figure)
            self.assertTrue(figure["lowest"] <= figure["median"] <= figure["highest"], figure)

    def test_unknown_section_is_refused(self):
        ended = run(BENCH, "--only", "speed")
        self.assertEqual(ended.returncode, 2)
        self.assertRegex(ended.stderr, r'unknown section "speed".*gemm points parts')

    def test_pytorch_does_the_same_job(self):
        ended = run("/usr/bin/python3", PEER, "--width", 16, "--batch", 8, "--depth", 3, "--threads", 1, "--sigma-w", 1, 2)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertGreater(float(ended.stdout), 0)


if __name__ == "__main__":
    unittest.main()
