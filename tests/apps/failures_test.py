"""Points that cannot be measured: the sweep goes on, the file says which and where, the log says why."""
import os
import re
import unittest
from pathlib import Path

import h5py
import numpy as np

import program
import results

# sin of an argument beyond 2^24 has lost its phase in float32: the largest sigma_w, at a layer that depends on it.
PHASE_LOST = """
[network]
depth = 6
width = 16
activation = "sin"
[data]
batch = 4
[sweep]
init.sigma_w = [1.0, 1e9, 2.0]
seed = { range = [0, 4] }
"""

PHASE = 1


class Failures(program.InFolder):
    def failed(self):
        with h5py.File("out.h5") as file:
            return {name: file[name][()] for name in ("status", "failure_code", "failure_layer")}

    def test_sweep_goes_on_and_the_log_tells_why(self):
        self.write("sweep.toml", PHASE_LOST)
        hashes = set()
        for ranks, stages in ((None, 1), (2, 2), (3, 3), (4, 2)):
            with self.subTest(ranks=ranks, stages=stages):
                ended = program.run("run", "sweep.toml", "-o", "out.h5", "--stages", stages, ranks=ranks)

                self.assertEqual(ended.returncode, program.FAILED, ended.stderr)
                self.assertIn("8 of 12 points done, 4 failed", ended.stderr)
                found = self.failed()
                self.assertEqual(found["status"].tolist(), [1] * 4 + [2] * 4 + [1] * 4)
                self.assertTrue((found["failure_code"][4:8] == PHASE).all())
                lines = Path("out.h5.log").read_text().splitlines()
                self.assertEqual(len(lines), 4)
                for line in lines:
                    told = re.search(r"point (\d+) \(sigma_w = \S+, seed = \d\) failed at layer (\d+), sample \d+: "
                                     "the phase of sin has no bits left", line)
                    self.assertTrue(told, line)
                    self.assertEqual(found["failure_layer"][int(told[1])], int(told[2]))
                hashes.add(results.one_hash("out.h5"))
                os.unlink("out.h5")
                os.unlink("out.h5.log")
        self.assertEqual(len(hashes), 1)

    def test_failed_points_are_measured_again_only_if_asked(self):
        self.write("sweep.toml", PHASE_LOST)
        program.run("run", "sweep.toml", "-o", "out.h5")
        before = results.one_hash("out.h5")

        again = program.run("run", "sweep.toml", "-o", "out.h5")
        self.assertIn("4 failed, 0 by this run", again.stderr)
        self.assertEqual(again.returncode, program.FAILED)

        retried = program.run("run", "sweep.toml", "-o", "out.h5", "--retry-failed", "--stages", "2", ranks=2)
        self.assertIn("4 failed, 4 by this run", retried.stderr)
        self.assertEqual(len(Path("out.h5.log").read_text().splitlines()), 8)
        self.assertEqual(results.one_hash("out.h5"), before)


if __name__ == "__main__":
    unittest.main()
