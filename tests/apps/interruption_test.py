"""Nothing finished is lost: kill -9, signals and time limits in mid-run, each continued by the same command."""
import os
import random
import re
import signal
import subprocess
import time
import unittest

import numpy as np

import long_sweeps
import program
import results

POINTS = 600

RECTANGLE = long_sweeps.rectangle(seeds=100)
RAGGED = long_sweeps.ragged(seeds=100)
DEEP = long_sweeps.deep(seeds=100)
EVERY_KIND = long_sweeps.every_kind(seeds=60)
LONGER = long_sweeps.rectangle(seeds=1000).replace("width = 32", "width = 96")

# Points of a moment, then one of many seconds.
QUICK_THEN_LONG = """
[network]
width = 512
[init]
scheme = "orthogonal"
[statistics]
preset = "lean"
[[zip]]
network.depth = [2, 3, 4, 5, 6, 1000]
data.batch = [1, 1, 1, 1, 1, 64]
"""

# Ranks and stages that are killed, then those that continue.
KILLS = [
    (RECTANGLE, (1, 1), (2, 2)),
    (RECTANGLE, (2, 2), (1, 1)),
    (RAGGED, (2, 1), (3, 2)),
    (RAGGED, (3, 3), (2, 1)),
    (RECTANGLE, (4, 2), (3, 1)),
    (RAGGED, (3, 2), (None, 1)),
    (DEEP, (2, 2), (2, 1)),
    (EVERY_KIND, (2, 2), (3, 1)),
    (EVERY_KIND, (None, 1), (4, 4)),
]


class Interruption(program.InFolder):
    @classmethod
    def setUpClass(cls):
        cls.undisturbed = {}

    def reference(self, sweep):
        """Contents of a file that was measured without disturbance, made once for each sweep."""
        if sweep not in self.undisturbed:
            program.measure(self.write("reference.toml", sweep), "reference.h5", ranks=2)
            self.undisturbed[sweep] = results.contents("reference.h5")
            os.unlink("reference.h5")  # the next sweep has its own
        return self.undisturbed[sweep]

    def committed(self):
        """Points with status 1. Looks while the run writes: readers are never blocked."""
        return results.statuses("out.h5") == 1 if os.path.exists("out.h5") else np.zeros(0, bool)

    def start_until(self, points, *options, ranks=None):
        """A run that has committed at least so many points and is still going."""
        process = program.start("run", "sweep.toml", "-o", "out.h5", *options, ranks=ranks)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        reached = lambda: self.committed().sum() >= points or process.poll() is not None
        self.assertTrue(program.wait_until(reached, 60), "the run commits points")
        self.assertTrue(process.poll() is None and self.committed().sum() < POINTS, "it is disturbed before its end")
        return process

    def assert_equals_undisturbed(self, sweep):
        found, expected = results.contents("out.h5"), self.reference(sweep)
        self.assertEqual([name for name in expected if found.get(name) != expected[name]], [])
        self.assertFalse(os.path.exists("out.h5.lock"))
        self.assertFalse(os.path.exists("out.h5.part"))

    def continue_and_check(self, sweep, ranks=None, stages=1):
        """The same command measures what is missing and nothing else."""
        committed = np.flatnonzero(self.committed())
        before = results.rows("out.h5", committed)
        self.assertGreater(len(committed), 0)

        ended = program.measure("sweep.toml", "out.h5", "--stages", stages, ranks=ranks)

        self.assertIn(f"{POINTS} of {POINTS} points done, {POINTS - len(committed)} by this run", ended.stderr)
        self.assertEqual(results.rows("out.h5", committed), before, "a committed point changed, or was measured again")
        self.assert_equals_undisturbed(sweep)

    def test_kill_of_all_ranks(self):
        moments = random.Random(20)
        for sweep, (ranks, stages), (ranks_after, stages_after) in KILLS:
            moment = moments.randint(1, POINTS // 2)
            with self.subTest(ranks=ranks, stages=stages, points=moment):
                self.write("sweep.toml", sweep)
                process = self.start_until(moment, "--stages", stages, ranks=ranks)
                time.sleep(moments.uniform(0, 0.05))
                program.kill(process)
                self.continue_and_check(sweep, ranks_after, stages_after)
                os.unlink("out.h5")

    def test_kill_before_the_first_point(self):
        self.write("sweep.toml", RECTANGLE)
        for delay in (0.3, 0.6, 0.9):
            process = program.start("run", "sweep.toml", "-o", "out.h5", ranks=2)
            time.sleep(delay)
            program.kill(process)

        program.measure("sweep.toml", "out.h5", ranks=3)

        self.assert_equals_undisturbed(RECTANGLE)

    def test_killed_twice(self):
        self.write("sweep.toml", RECTANGLE)
        program.kill(self.start_until(60, "--stages", "2", ranks=2))
        program.kill(self.start_until(max(200, self.committed().sum() + 1), "--stages", "1", ranks=3))
        self.continue_and_check(RECTANGLE, ranks=2)

    def test_kill_of_one_rank_ends_all(self):
        self.write("sweep.toml", RECTANGLE)
        process = self.start_until(50, "--stages", "3", ranks=3)
        ranks = program.ranks_of(process)
        self.assertEqual(len(ranks), 3)

        os.kill(ranks[1], signal.SIGKILL)

        self.assertTrue(program.wait_until(lambda: not any(map(program.is_running, ranks)), 60), "every rank ends")
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.continue_and_check(RECTANGLE, ranks=2, stages=2)

    def test_usr1_drains_to_75(self):
        for ranks, stages in ((None, 1), (2, 2), (3, 1)):
            with self.subTest(ranks=ranks):
                self.write("sweep.toml", RECTANGLE)
                process = self.start_until(30, "--stages", stages, ranks=ranks)
                process.send_signal(signal.SIGUSR1)
                _, err = process.communicate(timeout=20)

                self.assertEqual(process.returncode, program.RESUMABLE)
                self.assertIn("continue with the same command", err)
                self.continue_and_check(RECTANGLE, ranks, stages)
                os.unlink("out.h5")

    def test_drained_points_are_all_in_the_file(self):
        self.write("sweep.toml", RECTANGLE)
        process = self.start_until(30, ranks=2)
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=20)

        done = int(re.search(r"(\d+) of 600 points done", err).group(1))
        self.assertEqual(self.committed().sum(), done)

    def test_term_and_interrupt_alone_drain_to_75(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                self.write("sweep.toml", RAGGED)
                process = self.start_until(30)
                process.send_signal(number)
                process.communicate(timeout=20)

                self.assertEqual(process.returncode, program.RESUMABLE)
                self.continue_and_check(RAGGED, ranks=2)
                os.unlink("out.h5")

    def start_for(self, seconds, ranks=None):
        """A run of that age, in an empty folder; its first moments belong to the loader, the next to MPI."""
        if os.path.exists("out.h5"):
            os.unlink("out.h5")
        process = program.start("run", "sweep.toml", "-o", "out.h5", ranks=ranks)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        time.sleep(seconds)
        return process

    def test_signal_before_mpi_is_up(self):
        self.write("sweep.toml", RECTANGLE)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            codes = []
            for moment in (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4):
                with self.subTest(signal=number, moment=moment):
                    process = self.start_for(program.PATIENCE * moment)
                    process.send_signal(number)
                    _, err = process.communicate(timeout=60 * program.PATIENCE)

                    codes.append(process.returncode)
                    if process.returncode == -number:  # main had not yet begun
                        self.assertEqual([name for name in os.listdir() if name.startswith("out.h5")], [])
                        self.assertEqual(err, "")
                        continue
                    self.assertEqual(process.returncode, program.RESUMABLE, err)
                    self.assertEqual(err.count("continue with the same command"), 1)
                    self.assertLess(self.committed().sum(), POINTS)
            self.assertIn(program.RESUMABLE, codes, "the run hears of a signal")
            program.measure("sweep.toml", "out.h5")
            self.assert_equals_undisturbed(RECTANGLE)

    def test_signal_to_every_rank_before_mpi_is_up(self):
        self.write("sweep.toml", RECTANGLE)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            codes = []
            for moment in (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
                with self.subTest(signal=number, moment=moment):
                    process = self.start_for(0, ranks=2)
                    self.assertTrue(program.wait_until(lambda: len(program.ranks_of(process)) == 2, 60, pause=0.001))
                    time.sleep(program.PATIENCE * moment)
                    ranks = program.ranks_of(process)
                    program.signal_each(ranks, number)
                    _, err = process.communicate(timeout=60 * program.PATIENCE)

                    codes.append(process.returncode)
                    self.assertTrue(program.wait_until(lambda: not any(map(program.is_running, ranks)), 10))
                    self.assertNotEqual(process.returncode, program.COMPLETE, err)
                    if process.returncode == program.RESUMABLE:
                        self.assertEqual(err.count("continue with the same command"), 1)
                    self.assertLess(self.committed().sum(), POINTS)
            self.assertIn(program.RESUMABLE, codes, "the run hears of a signal")
            program.measure("sweep.toml", "out.h5", ranks=3)
            self.assert_equals_undisturbed(RECTANGLE)

    def test_signal_to_mpirun_before_mpi_is_up(self):
        self.write("sweep.toml", RECTANGLE)
        for moment in (0, 0.02, 0.05, 0.1, 0.3):
            with self.subTest(moment=moment):
                process = self.start_for(program.PATIENCE * moment, ranks=2)
                ranks = program.ranks_of(process) if process.poll() is None else []
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=60 * program.PATIENCE)

                self.assertNotEqual(process.returncode, program.COMPLETE, err)
                self.assertTrue(program.wait_until(lambda: not any(map(program.is_running, ranks)), 10))
                program.measure("sweep.toml", "out.h5", ranks=2)
                self.assert_equals_undisturbed(RECTANGLE)

    def test_term_under_mpirun_leaves_a_file_that_continues(self):
        # mpirun passes the signal on a second late, kills a second later, and ends with a status of its own.
        self.write("sweep.toml", RECTANGLE)
        process = self.start_until(30, ranks=2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)

        self.assertNotEqual(process.returncode, program.COMPLETE)
        self.continue_and_check(RECTANGLE, ranks=2)

    def test_term_under_mpirun_commits_what_is_finished(self):
        self.write("sweep.toml", QUICK_THEN_LONG)
        process = program.start("run", "sweep.toml", "-o", "out.h5", "--stages", "2", "--bundle", "1", ranks=2)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        self.assertTrue(program.wait_until(lambda: os.path.exists("out.h5"), 60))
        time.sleep(8)  # the long point takes half a minute
        self.assertEqual(self.committed().sum(), 0, "the block is still open")

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

        self.assertNotEqual(process.returncode, program.COMPLETE)
        # The fifth may still be on its way back when the weights of the long one begin.
        self.assertTrue(self.committed()[:4].all())
        self.assertFalse(self.committed()[5])

    def test_usr1_may_come_twice(self):
        self.write("sweep.toml", RECTANGLE)
        process = self.start_until(30, "--stages", "2", ranks=2)
        for _ in range(3):
            program.signal_each(program.ranks_of(process), signal.SIGUSR1)
            time.sleep(0.002)
        process.communicate(timeout=60)

        self.assertEqual(process.returncode, program.RESUMABLE)

    def test_second_signal_stops_at_once(self):
        # One point of many seconds: the first signal waits for it.
        self.write("sweep.toml", QUICK_THEN_LONG.replace("[2, 3, 4, 5, 6, 1000]", "[1000]").replace("[1, 1, 1, 1, 1, 64]", "[64]"))
        for number in (signal.SIGTERM, signal.SIGINT):
            for patience in (2, 4, 8, 16):
                process = program.start("run", "sweep.toml", "-o", "out.h5")
                self.addCleanup(lambda process=process: process.poll() is None and program.kill(process))
                self.assertTrue(program.wait_until(lambda: os.path.exists("out.h5"), 60))
                time.sleep(patience)
                process.send_signal(number)
                time.sleep(0.5)
                if process.poll() is not None:  # it had not yet begun the point
                    process.communicate()
                    continue
                process.send_signal(number)
                process.communicate(timeout=60)
                self.assertEqual(process.returncode, -number)
                break
            else:
                self.fail("the point never began")

    def test_file_that_is_moved_away_is_still_completed(self):
        self.write("sweep.toml", RECTANGLE)
        process = self.start_until(30, ranks=2)
        os.rename("out.h5", "moved.h5")
        _, err = process.communicate(timeout=60)

        self.assertEqual(process.returncode, program.COMPLETE, err)
        os.rename("moved.h5", "out.h5")
        self.assert_equals_undisturbed(RECTANGLE)

    def test_point_that_would_not_end_in_time_is_not_begun(self):
        self.write("sweep.toml", QUICK_THEN_LONG)
        for ranks, stages in ((None, 1), (2, 2)):
            with self.subTest(ranks=ranks):
                ended = program.run("run", "sweep.toml", "-o", "out.h5", "--max-time", "3s", "--bundle", "1", "--stages", stages,
                                    ranks=ranks)

                self.assertEqual(ended.returncode, program.RESUMABLE, ended.stderr)
                self.assertIn("continue with the same command", ended.stderr)
                self.assertFalse(self.committed()[5])
                os.unlink("out.h5")

    def test_end_of_the_slurm_job_is_the_end_of_the_time(self):
        self.write("sweep.toml", RECTANGLE)
        job = {**os.environ, "SLURM_JOB_END_TIME": str(int(time.time()) - 1)}
        for options in ((), ("--max-time", "10m")):
            ended = program.run("run", "sweep.toml", "-o", "out.h5", *options, env=job)
            self.assertEqual(ended.returncode, program.RESUMABLE, ended.stderr)
            self.assertEqual(self.committed().sum(), 0)

        later = {**os.environ, "SLURM_JOB_END_TIME": str(int(time.time()) + 3600)}
        self.assertEqual(program.run("run", "sweep.toml", "-o", "out.h5", env=later).returncode, program.COMPLETE)

    def test_run_ends_by_itself_before_the_slurm_job_does(self):
        self.write("sweep.toml", LONGER)
        in_a_job = lambda end: program.run("run", "sweep.toml", "-o", "out.h5", "--max-time", "10h", ranks=2,
                                           env={**os.environ, "SLURM_JOB_END_TIME": str(int(end))})
        begin = time.time()
        in_a_job(begin - 1)
        nothing = time.time() - begin  # what it takes to start and to end
        seconds, codes = 3, [program.RESUMABLE]  # a slow machine has only just started after 3 s
        while codes[-1] == program.RESUMABLE:
            end = time.time() + seconds
            before = self.committed().sum()
            ended = in_a_job(end)
            codes.append(ended.returncode)
            if ended.returncode == program.RESUMABLE:
                self.assertIn("stopped early: continue with the same command", ended.stderr)
                self.assertGreaterEqual(self.committed().sum(), before)
                self.assertLess(time.time() - end, 1 + 2 * nothing, "nothing is begun that does not fit")
            seconds *= 2
        self.assertEqual(codes[-1], program.COMPLETE)
        self.assertIn(program.RESUMABLE, codes[1:], "the sweep takes longer than 3 s")
        self.assert_equals_undisturbed(LONGER)

    def test_max_time_counts_from_the_start_of_the_process(self):
        # exec keeps the process and its age, as a slow loader would.
        self.write("sweep.toml", RECTANGLE)
        command = [program.GRADFLOW, "run", "sweep.toml", "-o", "out.h5", "--max-time", "3s"]
        ended = subprocess.run(["sh", "-c", 'sleep 3; exec "$@"', "sh", *command], capture_output=True, text=True)

        self.assertEqual(ended.returncode, program.RESUMABLE, ended.stderr)
        self.assertIn("continue with the same command", ended.stderr)
        self.assertEqual(self.committed().sum(), 0)
        program.measure("sweep.toml", "out.h5")
        self.assert_equals_undisturbed(RECTANGLE)

    def test_max_time_ends_with_75_until_all_is_done(self):
        self.write("sweep.toml", RECTANGLE)
        codes, done, limit = [], [0], 0
        while not codes or codes[-1] == program.RESUMABLE:
            ended = program.run("run", "sweep.toml", "-o", "out.h5", "--max-time", f"{limit}s", ranks=2)
            codes.append(ended.returncode)
            done.append(self.committed().sum())
            limit = 2 * limit + 1  # a slow machine has only just started

        self.assertEqual(codes[0], program.RESUMABLE)
        self.assertEqual(done[1], 0, "no time at all measures nothing")
        self.assertEqual(done, sorted(done))
        self.assertEqual(codes[-1], program.COMPLETE)
        self.assert_equals_undisturbed(RECTANGLE)


if __name__ == "__main__":
    unittest.main()
