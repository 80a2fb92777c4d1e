"""Shards, merge and finalize: what a job array and an archive do with result files."""
import os
import unittest

import h5py
import numpy as np
import xarray

import program
import results

SWEEP = """
[network]
depth = 8
width = 16
[data]
batch = 8
[sweep]
init.sigma_w = [0.8, 1.2, 1.6]
seed = { range = [0, 20] }
"""

RAGGED = SWEEP.replace("depth = 8\n", "").replace("[sweep]\n", "[sweep]\nnetwork.depth = [4, 40]\n")


class JoinedFiles(program.InFolder):
    def test_shards_join_to_the_file_of_one_run(self):
        for sweep in (SWEEP, RAGGED):
            with self.subTest(ragged=sweep is RAGGED):
                self.write("sweep.toml", sweep)
                program.measure("sweep.toml", "whole.h5")
                for shard, ranks in ((1, None), (2, 2), (3, None)):
                    ended = program.measure("sweep.toml", f"shard{shard}.h5", "--shard", f"{shard}/3", ranks=ranks)
                    self.assertIn("points done", ended.stderr)
                    self.assertEqual(program.run("verify", f"shard{shard}.h5").returncode, program.FAILED)
                shares = [results.statuses(f"shard{shard}.h5") == 1 for shard in (1, 2, 3)]
                self.assertTrue((np.sum(shares, axis=0) == 1).all(), "every point belongs to one shard")

                joined = program.run("merge", "joined.h5", "shard1.h5", "shard3.h5", "shard2.h5")

                self.assertEqual(joined.returncode, program.COMPLETE, joined.stderr)
                self.assertEqual(results.differences("whole.h5", "joined.h5"), [])
                self.assertEqual(program.run("verify", "joined.h5").returncode, program.COMPLETE)
                again = program.measure("sweep.toml", "joined.h5")
                self.assertIn(", 0 by this run", again.stderr)
                for file in os.listdir("."):
                    os.unlink(file)

    def test_runs_of_two_sweeps_join_to_one_that_continues(self):
        self.write("low.toml", SWEEP.replace("[0, 20]", "[0, 3]"))
        self.write("high.toml", SWEEP.replace("[0, 20]", "[2, 5]").replace("width = 16", "width = 16\nactivation = \"tanh\""))
        self.write("all.toml", SWEEP.replace("[0, 20]", "[0, 5]"))
        program.measure("low.toml", "low.h5")
        program.measure("high.toml", "high.h5")
        program.measure("all.toml", "all.h5")

        self.assertEqual(program.run("merge", "low.h5", "high.h5", "-o", "joined.h5").returncode, program.COMPLETE)

        with xarray.open_dataset("joined.h5") as joined, xarray.open_dataset("low.h5") as low:
            self.assertEqual(joined.sizes["point"], 15)
            self.assertEqual(set(joined.variables), set(low.variables))
        self.assertIn("15 of 15 points done, 0 by this run", program.measure("all.toml", "joined.h5").stderr)
        self.assertEqual(results.differences("all.h5", "joined.h5"), [])

    def test_grown_sweep_takes_over_what_is_committed(self):
        # more seeds and values, and an axis along which the old points stand at the default
        grown = SWEEP.replace("[0, 20]", "[0, 25]").replace("[0.8, 1.2, 1.6]", "[0.8, 1.0, 1.2, 1.6]")
        grown += 'network.activation = ["relu", "tanh"]\n'
        self.write("sweep.toml", SWEEP)
        self.write("grown.toml", grown)
        program.measure("sweep.toml", "out.h5", ranks=2)
        program.measure("grown.toml", "whole.h5", ranks=2)

        ended = program.measure("grown.toml", "out.h5")

        self.assertIn("200 of 200 points done, 140 by this run", ended.stderr)
        self.assertEqual(results.differences("whole.h5", "out.h5"), [])
        refused = program.run("run", "sweep.toml", "-o", "out.h5")
        self.assertEqual(refused.returncode, program.MISTAKE)
        self.assertIn("belongs to another sweep", refused.stderr)

    def test_sweep_grown_by_networks_of_other_parts_takes_over_what_is_committed(self):
        for axis, points in (('network.normalization = ["layer", "none"]', 120),
                             ('network.block = ["dense", "preact_residual", "highway"]', 180),
                             ('network.block = ["dense", "gru"]', 120)):
            with self.subTest(axis=axis):
                self.write("sweep.toml", SWEEP)
                self.write("grown.toml", SWEEP + axis + "\n")
                program.measure("sweep.toml", "out.h5", ranks=2)
                program.measure("grown.toml", "whole.h5", ranks=2)

                ended = program.measure("grown.toml", "out.h5", ranks=3)

                self.assertIn(f"{points} of {points} points done, {points - 60} by this run", ended.stderr)
                self.assertEqual(results.differences("whole.h5", "out.h5"), [])
                self.assertEqual(program.run("verify", "out.h5").returncode, program.COMPLETE)
                for file in os.listdir("."):
                    os.unlink(file)

    def test_other_arithmetic_is_refused(self):
        self.write("sweep.toml", SWEEP)
        program.measure("sweep.toml", "out.h5", "--shard", "1/2", env={**os.environ, "OPENBLAS_CORETYPE": "Prescott"})
        before = results.one_hash("out.h5")

        refused = program.run("run", "sweep.toml", "-o", "out.h5", env={**os.environ, "OPENBLAS_CORETYPE": "Nehalem"})

        self.assertEqual(refused.returncode, program.MISTAKE)
        self.assertRegex(refused.stderr, "set OPENBLAS_CORETYPE=(?i:prescott|core2)")
        self.assertEqual(results.one_hash("out.h5"), before)

    def test_finalized_file_opens_as_the_original(self):
        for sweep in (SWEEP, RAGGED):
            with self.subTest(ragged=sweep is RAGGED):
                self.write("sweep.toml", sweep)
                program.measure("sweep.toml", "part.h5", "--shard", "1/2")

                ended = program.run("finalize", "part.h5", "archive.h5")

                self.assertEqual(ended.returncode, program.COMPLETE, ended.stderr)
                with xarray.open_dataset("part.h5") as part, xarray.open_dataset("archive.h5") as archive:
                    self.assertEqual(list(part.variables), list(archive.variables))
                    mask = part.status.values == 1
                    for name, variable in part.variables.items():
                        self.assertEqual(variable.dims, archive[name].dims, name)
                        self.assertEqual(repr(variable.attrs), repr(archive[name].attrs), name)
                        if name in part.coords or variable.attrs.get("gradflow_role") != "statistic":
                            np.testing.assert_array_equal(variable.values, archive[name].values, name)
                            continue
                        rows = mask if variable.dims[0] == "point" else mask[part.point_index.values]
                        np.testing.assert_array_equal(variable.values[rows], archive[name].values[rows], name)
                        self.assertTrue(np.isnan(archive[name].values[~rows]).all(), name)
                with h5py.File("archive.h5") as archive:
                    self.assertEqual(archive["dgrad_log10_norm_mean"].compression, "gzip")
                self.assertEqual(program.run("show", "archive.h5").returncode, program.COMPLETE)
                program.measure("sweep.toml", "archive.h5", ranks=2)
                self.assertEqual(program.run("verify", "archive.h5").returncode, program.COMPLETE)
                for file in os.listdir("."):
                    os.unlink(file)

    def test_mistakes(self):
        self.write("sweep.toml", SWEEP.replace("[0, 20]", "[0, 2]"))
        program.measure("sweep.toml", "a.h5")
        program.measure("sweep.toml", "lean.h5", "--set", "statistics.preset=lean")
        for arguments, text in ((("run", "sweep.toml", "-o", "b.h5", "--shard", "0/3"), "--shard: read \"0/3\""),
                                (("run", "sweep.toml", "-o", "b.h5", "--shard", "4/3"), "--shard: read \"4/3\""),
                                (("run", "sweep.toml", "-o", "b.h5", "--shard", "1/3x"), "1/8 to 8/8"),
                                (("merge", "a.h5", "lean.h5"), "a.h5 exists"),
                                (("merge", "b.h5", "a.h5", "lean.h5"), "store different statistics"),
                                (("merge", "b.h5", "a.h5", "--prefer", "me"), "choose one of: error first newer"),
                                (("merge", "b.h5"), "merge OUT.h5 FILE.h5..."),
                                (("merge", "b.h5", "a.h5", "none.h5"), "there is no file none.h5"),
                                (("finalize", "a.h5", "a.h5"), "a.h5 exists"),
                                (("verify", "sweep.toml"), "not a gradflow result file"),
                                (("status", "none.h5"), "there is no file none.h5")):
            with self.subTest(arguments=arguments):
                ended = program.run(*arguments)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assertIn(text, ended.stderr)
                self.assertFalse(os.path.exists("b.h5"))
                self.assertFalse(os.path.exists("b.h5.lock"))


if __name__ == "__main__":
    unittest.main()
