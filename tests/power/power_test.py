"""The power fails in mid-run, again and again: every point that was promised is on the disk, and none is flagged without data."""
import os
import random
import time
import unittest

import numpy as np

import disk
import long_sweeps
import program
import results

CUTS = 10  # of each of two runs

RECTANGLE = long_sweeps.rectangle(seeds=600)
DEEP = long_sweeps.deep(seeds=150)


def committed(path):
    return np.flatnonzero(results.statuses(path) == 1) if os.path.exists(path) else np.zeros(0, int)


class PowerCut(program.InFolder):
    def setUp(self):
        super().setUp()
        self.disk = disk.Disk(self.folder)
        self.addCleanup(self.disk.remove)
        self.file = self.disk.inner / "out.h5"

    def promised(self, process):
        """Points that are safe by now. One pipeline commits block by block: when another block shows, the one before is."""
        before = committed(self.file)
        more = lambda: len(committed(self.file)) > len(before) or process.poll() is not None
        self.assertTrue(program.wait_until(more, 120), "the run goes on")
        return before

    def cut_in_mid_run(self, process, moments):
        """@return  for each cut, the copy of the disk and the points promised before"""
        cuts = []
        while len(cuts) < CUTS and process.poll() is None:
            promised = self.promised(process)
            time.sleep(moments.uniform(0, 0.3))
            copy = self.folder / f"cut_{len(cuts)}"
            self.disk.cut_power(copy)
            cuts.append((copy, promised))
        self.assertEqual(len(cuts), CUTS, "the run lasts as long as the cuts")
        return cuts

    def disturb(self, sweep, ranks, continued_with, moments):
        self.write("sweep.toml", sweep)
        process = program.start("run", "sweep.toml", "-o", self.file, "--stages", ranks or 1, ranks=ranks)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        cuts = self.cut_in_mid_run(process, moments)
        _, err = process.communicate(timeout=600)
        self.assertEqual(process.returncode, program.COMPLETE, err)

        lost, flagged, empty, safe = 0, 0, 0, 0
        for copy, promised in cuts:
            with disk.AfterPowerCut(copy, self.folder / "after") as after:
                there = committed(after / "out.h5")
                safe, flagged = safe + len(promised), flagged + len(there)
                lost += len(np.setdiff1d(promised, there))
                empty += results.differing_points(after / "out.h5", self.file, there)
        print(f"{CUTS} cuts at {ranks or 1} ranks: {safe} points promised, {lost} lost; {flagged} flagged, {empty} without "
              "their data", flush=True)
        self.assertGreater(safe, 0)
        self.assertEqual((lost, empty), (0, 0))

        with disk.AfterPowerCut(cuts[-1][0], self.folder / "after") as after:
            program.measure("sweep.toml", after / "out.h5", ranks=continued_with, timeout=600)
            self.assertEqual(results.differences(after / "out.h5", self.file), [])

    def test_one_rank(self):
        self.disturb(RECTANGLE, None, 2, random.Random(1))

    def test_two_stages_that_write_their_own_rows(self):
        self.disturb(DEEP, 2, None, random.Random(2))


if __name__ == "__main__":
    unittest.main()
