"""Pulling the plug, again and again: kill -9 of all ranks and of one, and a disk that fills up, at random moments.

Acknowledged is a point whose status 1 was seen in the file before the plug was pulled. Figures are printed.
Called as: durability_test.py GRADFLOW MPIEXEC FAILING_DISK.so [short | full] [unittest arguments]
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

import h5py
import numpy as np

import program
import results

FAILING_DISK, EXTENT = sys.argv[1:3]
del sys.argv[1:3]
FULL = EXTENT == "full"

SWEEP = """
[network]
depth = 20
width = 16
[data]
batch = 16
[statistics]
preset = "lean"
[sweep]
init.sigma_w = {{ linspace = [0.5, 2.5, 10] }}
seed = {{ range = [0, {}] }}
"""

# A run that is disturbed often must not come to its end between two disturbances.
SLOW = SWEEP.replace("width = 16", "width = 256").replace("batch = 16", "batch = 32")

# So deep that the stages of a pipeline write their own rows.
DEEP = SWEEP.replace("depth = 20", "depth = 1100").replace("width = 16", "width = 4").replace("batch = 16", "batch = 1")

KILLS = 50 if FULL else 5
KILLS_OF_ONE = 20 if FULL else 2
FULL_DISKS = 10 if FULL else 2
REASON = {"write": "No space left", "fdatasync": "Input/output error", "fsync": "Input/output error",
          "close": "Input/output error", "rename": "Input/output error"}
LONG = 120  # seconds nothing here takes, however loaded the machine


def failing(call, after, file=".h5"):
    """The environment of a program whose disk fails; see failing_disk.c."""
    return {**os.environ, "LD_PRELOAD": FAILING_DISK, "FAILING_DISK_CALL": call, "FAILING_DISK_CALLS": str(after),
            "FAILING_DISK_FILE": file, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


class Durability(program.InFolder):
    def begin(self, seeds, sweep=SWEEP):
        self.points = 10 * seeds
        for file in ("undisturbed.h5", "out.h5"):
            if os.path.exists(file):
                os.unlink(file)
        self.write("sweep.toml", sweep.format(seeds))
        program.measure("sweep.toml", "undisturbed.h5", ranks=2, timeout=600)
        self.expected = results.contents("undisturbed.h5")

    def start(self, *options, ranks, **popen):
        process = program.start("run", "sweep.toml", "-o", "out.h5", *options, ranks=ranks, **popen)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        return process

    def acknowledged(self):
        """Points with status 1, and after that their rows."""
        if not os.path.exists("out.h5"):
            return np.zeros(0, int), {}
        points = np.flatnonzero(results.statuses("out.h5") == 1)
        return points, results.rows("out.h5", points)

    def committed(self):
        return (results.statuses("out.h5") == 1).sum() if os.path.exists("out.h5") else 0

    def lost(self, points, rows):
        """How many of these are no longer what they were, in a file that must open."""
        if len(points) == 0:
            return 0
        ended = program.run("verify", "--json", "out.h5")
        self.assertIn(ended.returncode, (program.COMPLETE, program.FAILED), ended.stderr)
        torn = set(json.loads(ended.stdout)["torn"]) & set(points.tolist())
        gone = (results.statuses("out.h5")[points] != 1).sum()
        return len(torn) + int(gone) + (results.rows("out.h5", points) != rows)

    def finish(self, ranks=2):
        program.measure("sweep.toml", "out.h5", ranks=ranks, timeout=600)
        found = results.contents("out.h5")
        self.assertEqual([name for name in self.expected if found.get(name) != self.expected[name]], [])

    def wait_for_more(self, process, points):
        reached = lambda: self.committed() >= points or process.poll() is not None
        self.assertTrue(program.wait_until(reached, LONG), "the run commits points")

    def test_kill_of_all_ranks_at_random_moments(self):
        self.begin(*((2000, SLOW) if FULL else (1500, SWEEP)))
        chance = random.Random(5)
        ranks, killed, lost, seen = 4, 0, 0, 0
        while killed < KILLS and self.committed() < self.points:
            process = self.start(ranks=ranks)
            if killed % 2 == 0:
                self.wait_for_more(process, self.committed() + 1)
                time.sleep(chance.uniform(0, 0.02))
            else:
                time.sleep(chance.uniform(0, 1.5))  # also before MPI is up, or before the skeleton has its name
            points, rows = self.acknowledged()
            if process.poll() is None:
                program.kill(process)
                killed += 1
            else:
                process.communicate()
            seen += len(points)
            lost += self.lost(points, rows)
            ranks = ranks % 4 + 1
        print(f"{killed} kills of all ranks, {seen} looks at acknowledged points: {lost} lost")
        self.assertEqual(lost, 0)
        self.assertEqual(killed, KILLS, "the sweep is long enough to be disturbed")
        self.finish()

    def test_kill_of_one_rank_ends_all(self):
        self.begin(*((3000, SLOW) if FULL else (400, SWEEP)))
        chance = random.Random(6)
        killed, lost, longest = 0, 0, 0.0
        while killed < KILLS_OF_ONE and self.committed() < self.points:
            process = self.start("--stages", chance.choice((1, 2, 4)), ranks=4)
            self.wait_for_more(process, self.committed() + 1)
            time.sleep(chance.uniform(0, 0.02))
            points, rows = self.acknowledged()
            if process.poll() is not None:
                process.communicate()
                continue
            ranks = program.ranks_of(process)
            self.assertEqual(len(ranks), 4)
            os.kill(chance.choice(ranks), signal.SIGKILL)
            begin = time.monotonic()
            self.assertTrue(program.wait_until(lambda: not any(map(program.is_running, ranks)), LONG), "all ranks end")
            longest = max(longest, time.monotonic() - begin)
            process.communicate(timeout=LONG)
            killed += 1
            lost += self.lost(points, rows)
        print(f"{killed} kills of one rank of 4: the last rank ended after {longest:.2f} s at most, {lost} points lost")
        self.assertEqual(lost, 0)
        self.assertLess(longest, 5 * program.PATIENCE)
        self.assertEqual(killed, KILLS_OF_ONE, "the sweep is long enough to be disturbed")
        self.finish()

    def test_reader_that_stays_open_disturbs_nobody(self):
        self.begin(seeds=200 if FULL else 100)
        process = self.start("--stages", 2, ranks=2)
        self.assertTrue(program.wait_until(lambda: os.path.exists("out.h5"), LONG))
        reads = 0
        with h5py.File("out.h5", "r") as file:
            while process.poll() is None:
                done = np.flatnonzero(file["status"][()] == 1)
                norms = file["dgrad_log10_norm_mean"][()][done]
                self.assertTrue(np.isfinite(norms).all(), "a committed point is readable")
                reads += 1
                time.sleep(0.01)
            _, err = process.communicate()
            self.assertEqual(process.returncode, program.COMPLETE, err)
            self.assertEqual((file["status"][()] == 1).sum(), self.points)
        print(f"{reads} looks through one h5py.File that was open during the whole run: nobody disturbed")
        self.finish()

    def test_disk_that_fills_up_at_random_moments(self):
        chance = random.Random(7)
        for number in range(FULL_DISKS):
            deep = number % 2 == 1
            stages, only = (2, str(chance.randint(0, 1))) if deep else (1, None)
            with self.subTest(stages=stages, rank=only):
                self.begin(20, DEEP) if deep else self.begin(40)
                writes = chance.randint(30, 300)
                told = self.fails("write", writes, only=only, ranks=2, stages=stages)
                self.assertRegex(told, r"rank \d: .*out\.h5: cannot write points? \d+")
                self.assertIn("continue with the same command", told)
                self.assertEqual(program.run("verify", "out.h5").returncode, program.FAILED)
                before = self.acknowledged()
                self.assertEqual(self.lost(*before), 0)
                print(f"disk full after {writes} writes: {len(before[0])} of {self.points} points committed, 0 lost; {told}")
                self.finish()

    def fails(self, call, after, file=".h5", only=None, ranks=2, stages=1):
        """The one message of a run that ends because these calls fail after so many."""
        environment = failing(call, after, file)
        if only is not None:
            environment["FAILING_DISK_RANK"] = str(only)
        process = self.start("--stages", stages, ranks=ranks, env=environment)
        _, err = process.communicate(timeout=LONG * program.PATIENCE)
        return self.one_message(process.returncode, err)

    def one_message(self, code, err):
        told = [line for line in err.splitlines() if line.startswith("gradflow: ")]
        self.assertEqual(code, program.FAILED, err)
        self.assertEqual(len(told), 1, err)
        return told[0]

    def test_disk_that_fails_before_the_file_has_its_name_leaves_nothing(self):
        self.begin(4)
        for call, counts in (("write", (0, 1, 5)), ("fsync", (0,)), ("close", (0,)), ("rename", (0,))):
            for after in counts:
                for ranks in (1, 2, 4):
                    with self.subTest(call=call, after=after, ranks=ranks):
                        told = self.fails(call, after, file=".h5.part", ranks=ranks)

                        self.assertRegex(told, r"^gradflow: .*out\.h5.*" + REASON[call])
                        self.assertEqual([name for name in os.listdir() if name.startswith("out.h5")], [])
                        print(f"{call} fails at {ranks} ranks after {after}: {told}")
        self.finish()

    def test_folder_that_is_not_brought_to_the_disk(self):
        # The name may be gone after a crash; until then the file is whole, and has no point.
        self.begin(4)
        told = self.fails("fsync", 0, file=os.getcwd())
        self.assertRegex(told, re.escape(os.getcwd()) + ".*" + REASON["fsync"])
        self.assertEqual(self.committed(), 0)
        self.finish()

    def test_disk_that_fails_when_a_launch_is_noted(self):
        self.begin(4)
        for after in (0, 1, 5):
            told = self.fails("write", after)
            self.assertRegex(told, r"^gradflow: out\.h5: cannot begin; .* MiB are free there: ")
            self.assertEqual(self.committed(), 0)
        self.finish()

    def test_sync_that_fails_in_mid_run(self):
        # Of rank 0 the first sync belongs to the launch, before anybody measures. Then every block of 64 points has
        # two on the first rank of its group, for its rows and for their status, and one on the others.
        syncs = {(60, SWEEP): ((1, 1, None, (0, 1, 2)), (2, 1, None, (3,)), (4, 1, 2, (0, 3))),
                 (20, DEEP): ((2, 2, 1, (1,)), (4, 2, None, (2,)), (4, 2, 3, (0,)))}
        for sweep, cases in syncs.items():
            self.begin(*sweep)
            for ranks, stages, only, counts in cases:
                for after in counts:
                    with self.subTest(ranks=ranks, stages=stages, only=only, after=after):
                        told = self.fails("fdatasync", after, only=only, ranks=ranks, stages=stages)

                        self.assertRegex(told, r"^gradflow: .*out\.h5: .*" + REASON["fdatasync"])
                        self.assertIn("continue with the same command", told)
                        before = self.acknowledged()
                        self.assertEqual(self.lost(*before), 0)
                        print(f"fdatasync fails at {ranks} ranks, {stages} stages, after {after}: {len(before[0])} of "
                              f"{self.points} points committed, 0 lost; {told}")
                        self.finish()
                        self.assertEqual(results.rows("out.h5", before[0]), before[1])
                        os.unlink("out.h5")

    def test_longer_sweep_that_does_not_get_the_name_leaves_the_old_file(self):
        self.begin(8)
        self.write("sweep.toml", SWEEP.format(4))
        program.measure("sweep.toml", "out.h5")
        before = results.contents("out.h5")
        self.write("sweep.toml", SWEEP.format(8))
        for call, after in (("write", 0), ("write", 20), ("fsync", 0), ("close", 0), ("rename", 0)):
            with self.subTest(call=call, after=after):
                self.assertRegex(self.fails(call, after, file=".h5.part"), r"out\.h5.*" + REASON[call])
                self.assertEqual(results.contents("out.h5"), before)
                self.assertFalse(os.path.exists("out.h5.part"))
        self.finish()

    def test_joined_file_that_cannot_be_completed_is_not_left(self):
        self.write("sweep.toml", SWEEP.format(4))
        for shard in (1, 2):
            program.measure("sweep.toml", f"{shard}.h5", "--shard", f"{shard}/2")
        before = sorted(os.listdir())
        for call, after in (("write", 0), ("write", 20), ("fsync", 0), ("close", 0), ("rename", 0)):
            for command in (("merge", "1.h5", "2.h5", "-o", "out.h5"), ("finalize", "1.h5", "out.h5")):
                with self.subTest(command=command[0], call=call, after=after):
                    ended = program.run(*command, env=failing(call, after, ".h5.part"))

                    told = self.one_message(ended.returncode, ended.stderr)
                    self.assertRegex(told, r"out\.h5.*" + REASON[call])
                    self.assertEqual(sorted(os.listdir()), before)

    def test_close_of_what_is_on_the_disk_loses_nothing(self):
        # Open MPI says nothing of it, and need not: every point was brought to the disk before.
        self.begin(4)
        process = self.start(ranks=2, env=failing("close", 0))
        _, err = process.communicate(timeout=LONG * program.PATIENCE)
        self.assertIn(process.returncode, (program.COMPLETE, program.FAILED), err)
        self.assertEqual(self.committed(), self.points)
        self.finish()

    def full_file_system(self, moment):
        """A run on a file system of its own that another program fills up; how many points are committed."""
        process = program.start("run", "sweep.toml", "-o", "disk/out.h5", ranks=2)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        committed = lambda: (results.statuses("disk/out.h5") == 1).sum() if os.path.exists("disk/out.h5") else 0
        self.assertTrue(program.wait_until(lambda: committed() >= moment or process.poll() is not None, LONG))
        with open("disk/ballast", "wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        _, err = process.communicate(timeout=LONG)
        told = [line for line in err.splitlines() if line.startswith("gradflow: ")]
        self.assertEqual(process.returncode, program.FAILED, err)
        self.assertEqual(len(told), 1, err)
        self.assertIn("cannot write point", told[0])
        return np.flatnonzero(results.statuses("disk/out.h5") == 1)

    def fill_file_systems(self):
        self.begin(seeds=300)
        os.mkdir("disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "disk"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", "disk"])
        chance = random.Random(8)
        for _ in range(FULL_DISKS):
            before = self.full_file_system(chance.randint(0, self.points // 3))
            rows = results.rows("disk/out.h5", before)
            os.unlink("disk/ballast")
            program.measure("sweep.toml", "disk/out.h5", ranks=3)
            self.assertEqual(results.rows("disk/out.h5", before), rows)
            found = results.contents("disk/out.h5")
            self.assertEqual([name for name in self.expected if found.get(name) != self.expected[name]], [])
            print(f"file system full: {len(before)} of {self.points} points committed, 0 lost")
            os.unlink("disk/out.h5")

    if FULL:  # as root
        test_file_system_that_is_full = fill_file_systems


if __name__ == "__main__":
    unittest.main()
