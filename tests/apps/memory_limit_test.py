"""What the program really takes, against its plan and its limit. A sanitizer's own memory is larger than either."""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

import h5py

import program
import results

DEEP = """
[network]
depth = {depth}
width = {width}
[init]
sigma_w = 1.2
[data]
batch = {batch}
"""

# Whatever takes memory in a way of its own: further settings, and ranks with their options.
OF_EVERY_KIND = [
    (dict(depth=3000, width=64, batch=64), [], None, []),
    (dict(depth=300, width=256, batch=100), ['statistics.preset="full"'], None, []),
    (dict(depth=200, width=500, batch=16), ['run.precision="float64"'], None, []),
    (dict(depth=500, width=128, batch=64), ['network.block="lstm"', 'network.input="gaussian"'], None, []),
    (dict(depth=300, width=256, batch=100), ['network.block="residual"', 'network.normalization="layer"'], None, []),
    (dict(depth=100, width=512, batch=32), ['init.scheme="orthogonal"'], None, []),
    (dict(depth=300, width=128, batch=32), ["init.sigma_w=[0.5, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]"], None, []),
    (dict(depth=600, width=256, batch=128), [], 2, ["--stages", "2", "--microbatches", "4"]),
]

# A layer of the wide networks alone takes more than LIMIT.
TOO_WIDE = """
[network]
depth = 6
[data]
batch = 4
[sweep]
network.width = [16, 4000, 24]
seed = { range = [0, 4] }
"""

LIMIT = "100M"
TOO_LARGE = 4

# A process inherits the peak of the one that started it, so this one must be smaller than the program.
SMALL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak_bytes(*arguments, ranks=None):
    """Largest resident size of the largest rank."""
    launcher = [] if ranks is None else [program.MPIEXEC, "-q", "-n", ranks, "--oversubscribe", "--bind-to", "none"]
    command = [sys.executable, "-I", "-S", "-c", SMALL, *map(str, [*launcher, program.GRADFLOW, *arguments])]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class MemoryLimit(program.InFolder):
    def failed(self):
        with h5py.File("out.h5") as file:
            return {name: file[name][()] for name in ("status", "failure_code", "failure_layer")}

    def test_the_peak_is_the_plan_s(self):
        for shape, settings, ranks, layout in OF_EVERY_KIND:
            sweep = self.write("sweep.toml", DEEP.format(**shape))
            sets = [word for setting in settings for word in ("--set", setting)]
            for limit in ((), ("--memory", "120M")):
                with self.subTest(shape=shape, settings=settings, ranks=ranks, limit=limit):
                    options = [*sets, *layout, *limit]
                    plan = json.loads(program.run("plan", sweep, "--json", *options, ranks=ranks).stdout)
                    measured = peak_bytes("run", sweep, "-o", "out.h5", *options, ranks=ranks)
                    os.unlink("out.h5")
                    self.assertLess(measured / plan["bytes_per_rank"], 1.10, f"{measured} bytes at most, {plan}")
                    if ranks is None:  # a stage whose neighbour is late holds fewer microbatches than it may
                        self.assertLess(plan["bytes_per_rank"] / measured, 1.10, f"{measured} bytes at most, {plan}")
                    self.assertLessEqual(measured, 1.1 * plan["memory_limit"])

    def test_points_beyond_the_memory_are_left_out_and_measured_when_there_is_more(self):
        self.write("sweep.toml", TOO_WIDE)
        hashes = set()
        for ranks, stages in ((None, 1), (2, 2), (3, 3), (4, 2)):
            with self.subTest(ranks=ranks, stages=stages):
                ended = program.run("run", "sweep.toml", "-o", "out.h5", "--memory", LIMIT, "--stages", stages, ranks=ranks)

                self.assertEqual(ended.returncode, program.FAILED, ended.stderr)
                self.assertRegex(ended.stderr, r"note: some points need more memory than the 100M .*: point \d needs \d+M")
                self.assertIn("8 of 12 points done, 4 failed", ended.stderr)
                found = self.failed()
                self.assertEqual(found["status"].tolist(), [1] * 4 + [2] * 4 + [1] * 4)
                self.assertEqual(found["failure_code"][4:8].tolist(), [TOO_LARGE] * 4)
                self.assertEqual(found["failure_layer"][4:8].tolist(), [1] * 4)
                told = Path("out.h5.log").read_text()
                self.assertEqual(told.count("failed at layer 1: more memory than a rank may use"), 4, told)
                self.assertEqual(program.run("verify", "out.h5").returncode, program.FAILED)
                hashes.add(results.one_hash("out.h5"))
                os.unlink("out.h5")
                os.unlink("out.h5.log")
        self.assertEqual(len(hashes), 1)
        plan = program.run("plan", "sweep.toml", "--memory", LIMIT)
        self.assertEqual(plan.returncode, program.COMPLETE, plan.stderr)
        self.assertIn("some points need more memory", plan.stdout)

        program.run("run", "sweep.toml", "-o", "out.h5", "--memory", LIMIT)
        program.measure("sweep.toml", "out.h5", "--retry-failed", ranks=2)
        program.measure("sweep.toml", "whole.h5")
        self.assertEqual(results.differences("out.h5", "whole.h5"), [])


if __name__ == "__main__":
    unittest.main()
