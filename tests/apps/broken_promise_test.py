"""A promise of the program's own, broken on one rank in mid-run: all ranks end, one message says where, nothing is lost.

Called as: broken_promise_test.py GRADFLOW MPIEXEC BROKEN_ARITHMETIC.so [unittest arguments]
"""
import os
import re
import sys
import threading
import time
import unittest

import numpy as np

import program
import results

BROKEN_ARITHMETIC = sys.argv.pop(1)

DEPTH = 40
ODD = 640  # units that only one layer of one point has; widths are padded to multiples of 64

SWEEP = """
[data]
batch = 130
[statistics]
preset = "lean"
[[zip]]
network.widths = [{}]
seed = [{}]
"""

POINTS, BROKEN = 12, 7
SECONDS = 5
LONG = 60  # seconds that nothing here takes


class BrokenPromise(program.InFolder):
    def sweep(self, layer):
        """Point BROKEN alone has a layer of another fan-out."""
        widths = [[16] * (DEPTH + 1) for _ in range(POINTS)]
        widths[BROKEN][layer] = ODD
        return SWEEP.format(", ".join(map(str, widths)), ", ".join(map(str, range(POINTS))))

    def start(self, *options, ranks):
        broken = {**os.environ, "LD_PRELOAD": BROKEN_ARITHMETIC, "BROKEN_ARITHMETIC_TERMS": str(ODD),
                  "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        process = program.start("run", "sweep.toml", "-o", "out.h5", *options, ranks=ranks, env=broken)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        return process

    def end_of(self, process):
        """Its messages, and how long its ranks lived after the first."""
        told, moments, ranks = [], [], []

        def listen():
            for line in process.stderr:
                if line.startswith("gradflow: "):
                    ranks.extend(program.ranks_of(process))
                    moments.append(time.monotonic())
                told.append(line.rstrip())

        listener = threading.Thread(target=listen)
        listener.start()
        ended = lambda: process.poll() is not None and not any(map(program.is_running, ranks))
        self.assertTrue(program.wait_until(ended, LONG), "the job ends")
        end = time.monotonic()
        listener.join(LONG)
        process.stdout.close()
        process.stderr.close()
        messages = [line for line in told if line.startswith("gradflow: ")]
        self.assertEqual(len(messages), 1, told)
        return messages[0], end - moments[0]

    def test_one_message_names_rank_point_and_layer_and_all_ranks_end(self):
        # The first stage, one in between, the last; then one of two pipelines; then one rank with all layers.
        for layer, ranks, stages, where in ((1, 4, 4, {0}), (20, 4, 4, {1, 2}), (DEPTH, 4, 4, {3}), (DEPTH, 2, 2, {1}),
                                            (DEPTH, 3, 3, {2}), (DEPTH, 4, 2, {1, 3}), (5, 1, 1, {0})):
            with self.subTest(layer=layer, ranks=ranks, stages=stages):
                if os.path.exists("out.h5"):
                    os.unlink("out.h5")
                self.write("sweep.toml", self.sweep(layer))
                process = self.start("--stages", stages, "--microbatches", "1", "--bundle", "1", "--threads", "2", ranks=ranks)

                message, seconds = self.end_of(process)

                print(f"layer {layer} at {ranks} ranks, {stages} stages: all ended after {seconds:.2f} s; {message}")
                self.assertNotEqual(process.returncode, program.COMPLETE)
                self.assertLess(seconds, SECONDS * program.PATIENCE)
                place = re.search(r"^gradflow: rank (\d+): point (\d+): layer (\d+): .*expected a product that succeeds",
                                  message)
                self.assertTrue(place, message)
                rank, point, at = map(int, place.groups())
                self.assertEqual((point, at), (BROKEN, layer))
                self.assertIn(rank, where)

                committed = np.flatnonzero(results.statuses("out.h5") == 1)
                rows = results.rows("out.h5", committed)
                self.assertNotIn(BROKEN, committed)
                program.measure("sweep.toml", "out.h5")
                self.assertEqual(results.rows("out.h5", committed), rows)
                os.unlink("out.h5")


if __name__ == "__main__":
    unittest.main()
