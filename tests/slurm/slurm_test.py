"""The shipped batch scripts under a real Slurm: whatever ends a job, the file gets complete and no point is measured twice."""
import os
import re
import unittest

import numpy as np

import long_sweeps
import program
import results
import slurm_cluster

POINTS = 600

SWEEP = long_sweeps.rectangle(seeds=100)

# Every message of a pipeline waits up to this time: the sweep lasts long enough to be disturbed, without work.
SLOW = "30000"


class UnderSlurm(program.InFolder):
    silence = 300

    @classmethod
    def setUpClass(cls):
        cls.cluster = slurm_cluster.SlurmCluster(program.temporary_folder(), cls.silence)
        cls.addClassCleanup(cls.cluster.end)
        cls.undisturbed = None

    def setUp(self):
        super().setUp()
        (self.folder / "jobs").symlink_to(slurm_cluster.JOBS)
        self.write("sweep.toml", SWEEP)

    def submit(self, script, *options, **environment):
        """Two ranks of one pipeline; on two nodes if the script is for several."""
        layout = {"one_node": ["--ntasks-per-node=2"]}.get(script, ["--ntasks-per-node=1"])
        return self.cluster.submit(*layout, "--cpus-per-task=1", "--time=10", "--output=log", *options,
                                   slurm_cluster.JOBS / "slurm" / f"{script}.sbatch", "run", "sweep.toml", "-o", "out.h5",
                                   "--stages", "2", "--threads", "1", GRADFLOW=program.GRADFLOW,
                                   **({"GRADFLOW_SEND_DELAY_MICROSECONDS": SLOW} | environment))

    def log(self):
        return (self.folder / "log").read_text() if (self.folder / "log").exists() else ""

    def committed(self):
        return np.flatnonzero(results.statuses("out.h5") == 1) if os.path.exists("out.h5") else np.zeros(0, int)

    def wait_for_points(self, job, more_than=0):
        """The job has committed further points and is still at work."""
        self.cluster.wait(lambda: len(self.committed()) > more_than or self.has_ended(job), 200, "points are committed")
        self.assertLess(len(self.committed()), POINTS, "it is disturbed before its end")
        self.assertFalse(self.has_ended(job), self.log())

    def wait_for_restart(self, job):
        self.cluster.wait(lambda: self.cluster.job(job)["Restarts"] != "0" or self.has_ended(job), 300, "the job is put back")
        self.assertEqual(self.cluster.job(job)["Restarts"], "1", f"{self.log()}{self.cluster.job(job)}")

    def tidy(self):
        """For the next of several jobs."""
        for name in ("log", "out.h5"):
            os.unlink(name)

    def has_ended(self, job):
        """For good: a job that is put back passes through several states, each for a moment."""
        def looks_so():
            return self.cluster.job(job)["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")

        return looks_so() and not program.wait_until(lambda: not looks_so(), 3, pause=0.5)

    def wait_for_end(self, job, state="COMPLETED"):
        self.cluster.wait(lambda: self.has_ended(job), 900, f"job {job} has ended: {self.log()}")
        self.assertEqual(self.cluster.job(job)["JobState"], state, self.log() + self.cluster.logs())

    def rows(self):
        """Committed points, and all that the file says of them: facts of the run too, so that a second measurement shows."""
        points = self.committed()
        return points, results.rows("out.h5", points)

    def assert_complete(self, *before):
        """Complete, equal to an undisturbed run, and what was committed at some moments was never measured again."""
        if self.undisturbed is None:
            program.measure("sweep.toml", "reference.h5", ranks=2, timeout=600)
            type(self).undisturbed = results.contents("reference.h5")
        self.assertEqual(len(self.committed()), POINTS, self.log())
        found = results.contents("out.h5")
        self.assertEqual([name for name in self.undisturbed if found.get(name) != self.undisturbed[name]], [])
        for points, rows in before:
            self.assertGreater(len(points), 0)
            self.assertEqual(results.rows("out.h5", points), rows)

    def measured(self):
        """Points by each launch."""
        return [int(count) for count in re.findall(r"(\d+) by this run", self.log())]

    def assert_each_point_measured_once(self, launches):
        """As the launches tell it. One that is killed tells nothing."""
        self.assertEqual(sum(self.measured()), POINTS, self.log())
        self.assertEqual(len(self.measured()), launches, self.log())
        self.assertEqual(len(results.launches("out.h5", "launch_start")), launches)

    def ask_to_stop(self, job):
        """What --signal=B:USR1@... lets Slurm do before the time is up, and only that."""
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)


class Requeue(UnderSlurm):
    def test_a_job_that_is_asked_to_stop_is_put_back_and_completes(self):
        job = self.submit("several_nodes")
        self.wait_for_points(job)
        self.ask_to_stop(job)
        self.wait_for_restart(job)
        before = self.rows()

        self.wait_for_end(job)

        self.assertIn("stopped early: continue with the same command", self.log())
        self.assert_each_point_measured_once(launches=2)
        self.assert_complete(before)


class EveryEnd(UnderSlurm):
    silence = 30  # a dead node is missed after so many seconds

    def test_mpirun_is_asked_to_stop(self):
        for script, environment in (("one_node", {}), ("several_nodes", {"LAUNCHER": "mpirun"})):
            with self.subTest(script):
                job = self.submit(script, **environment)
                self.wait_for_points(job)
                self.ask_to_stop(job)
                self.wait_for_restart(job)
                before = self.rows()

                self.wait_for_end(job)

                self.assert_each_point_measured_once(launches=2)
                self.assert_complete(before)
                self.tidy()

    def test_a_time_limit_hits(self):
        # Slurm's shortest limit is a minute: every message waits longer here.
        slower = str(40 * int(SLOW))
        for script, environment in (("several_nodes", {}), ("several_nodes", {"LAUNCHER": "mpirun"})):
            with self.subTest(environment):
                job = self.submit(script, "--time=1", "--signal=B:USR1@20", GRADFLOW_SEND_DELAY_MICROSECONDS=slower,
                                  **environment)
                self.wait_for_end(job)

                restarts = int(self.cluster.job(job)["Restarts"])
                self.assertGreaterEqual(restarts, 1, self.log())
                self.assert_each_point_measured_once(launches=1 + restarts)
                self.assert_complete()
                self.tidy()

    def test_a_cancelled_job_is_not_put_back_and_a_second_job_completes(self):
        for script, environment in (("several_nodes", {}), ("several_nodes", {"LAUNCHER": "mpirun"})):
            with self.subTest(environment):
                job = self.submit(script, **environment)
                self.wait_for_points(job)
                before = self.rows()
                self.cluster.run("scancel", job)
                self.wait_for_end(job, "CANCELLED")
                self.assertEqual(self.cluster.job(job)["Restarts"], "0")

                self.wait_for_end(self.submit(script, **environment))

                self.assert_complete(before)
                self.tidy()

    def test_a_node_goes_down(self):
        for script, environment in (("several_nodes", {}), ("several_nodes", {"LAUNCHER": "mpirun"})):
            with self.subTest(environment):
                job = self.submit(script, **environment)
                self.wait_for_points(job)
                before = self.rows()
                self.cluster.crash("n2")
                self.wait_for_restart(job)
                self.cluster.restart("n2")

                self.wait_for_end(job)

                self.assert_complete(before)
                self.tidy()

    def test_a_job_gives_way_to_another(self):
        job = self.submit("preemptible", "--nodes=2")
        self.wait_for_points(job)
        before = self.rows()
        self.cluster.submit("--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null",
                            "--wrap=sleep 1")
        self.wait_for_restart(job)

        self.wait_for_end(job)

        self.assert_complete(before)

    def test_shares_of_an_array_are_merged(self):
        script = slurm_cluster.JOBS / "slurm" / "array.sbatch"
        options = ["--ntasks-per-node=2", "--time=10", "--output=log"]
        shares = self.cluster.submit("--array=1-3", *options, script, "sweep.toml", "all of it", "--threads", "1",
                                     GRADFLOW=program.GRADFLOW)
        merged = self.cluster.submit(f"--dependency=afterok:{shares}", *options, script, "sweep.toml", "all of it",
                                     GRADFLOW=program.GRADFLOW)
        self.wait_for_end(merged)

        self.assertEqual(sum(self.measured()), POINTS, self.log())
        os.rename("all of it.h5", "out.h5")
        self.assert_complete()

    def test_processes_that_do_not_find_each_other_stop_with_one_message(self):
        done = self.cluster.run("srun", "--nodes=2", "--ntasks=4", "--mpi=none", program.GRADFLOW, "run", "sweep.toml",
                                "-o", "out.h5", check=False)
        self.assertEqual(done.returncode, program.MISTAKE, done.stderr)
        self.assertEqual(done.stderr.count("srun --mpi=pmix"), 1, done.stderr)
        self.assertNotIn("MPI_Init", done.stderr)
        self.assertFalse(os.path.exists("out.h5"))

    def test_a_script_that_submit_wrote(self):
        name = "it's; touch owned $(touch owned)\n#SBATCH --nodes=7\n.toml"
        self.write(name, SWEEP)
        for nodes in (1, 2):
            with self.subTest(nodes=nodes):
                done = self.cluster.run(program.GRADFLOW, "submit", name, "--nodes", nodes, "--time", "10m",
                                        "--cores-per-node", 2, "--ranks-per-node", 1, "--memory", "1G", "-o", "out.h5")
                job = re.search(r"Submitted batch job (\d+)", done.stdout)[1]
                self.wait_for_end(job)

                self.assertEqual(self.cluster.job(job)["NumNodes"], str(nodes))
                self.assert_complete()
                self.assertFalse(os.path.exists("owned"))
                os.unlink("out.h5")


if __name__ == "__main__":
    unittest.main()
