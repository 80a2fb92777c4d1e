"""The shipped batch scripts under a real Slurm: whatever ends a job, the file gets complete and no point is measured twice."""
import os
import re
import unittest

import h5py
import numpy as np

import program
import results
import slurm_cluster

POINTS = 600

SWEEP = """
[network]
depth = 30
width = 32
[statistics]
preset = "lean"
[sweep]
init.sigma_w = { linspace = [0.5, 2.5, 6] }
seed = { range = [0, 100] }
"""

# Every message of a pipeline waits up to this time: the sweep lasts long enough to be disturbed, without work.
SLOW = "10000"


class UnderSlurm(program.InFolder):
    @classmethod
    def setUpClass(cls):
        cls.cluster = slurm_cluster.SlurmCluster(program.temporary_folder())
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
                                   GRADFLOW_SEND_DELAY_MICROSECONDS=SLOW, **environment)

    def log(self):
        return (self.folder / "log").read_text() if (self.folder / "log").exists() else ""

    def committed(self):
        return np.flatnonzero(results.statuses("out.h5") == 1) if os.path.exists("out.h5") else np.zeros(0, int)

    def wait_for_points(self, job, more_than=0):
        """The job has committed further points and is still at work."""
        self.cluster.wait(lambda: len(self.committed()) > more_than or self.has_ended(job), 200, "points are committed")
        self.assertLess(len(self.committed()), POINTS, "it is disturbed before its end")
        self.assertFalse(self.has_ended(job), self.log())

    def has_ended(self, job):
        return self.cluster.job(job)["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "PREEMPTED")

    def wait_for_end(self, job, state="COMPLETED"):
        self.cluster.wait(lambda: self.has_ended(job), 400, f"job {job} has ended: {self.log()}")
        self.assertEqual(self.cluster.job(job)["JobState"], state, self.log())

    def rows(self):
        """Committed points, and all that the file says of them: facts of the run too, so that a second measurement shows."""
        points = self.committed()
        return points, results.rows("out.h5", points)

    def assert_complete(self, *before):
        """Complete, equal to an undisturbed run, and what was committed at some moments was never measured again."""
        if self.undisturbed is None:
            program.measure("sweep.toml", "reference.h5", ranks=2)
            type(self).undisturbed = results.one_hash("reference.h5")
        self.assertEqual(results.one_hash("out.h5"), self.undisturbed)
        for points, rows in before:
            self.assertGreater(len(points), 0)
            self.assertEqual(results.rows("out.h5", points), rows)

    def assert_each_point_measured_once(self, launches):
        """As the launches tell it. One that is killed tells nothing."""
        measured = [int(count) for count in re.findall(r"(\d+) by this run", self.log())]
        self.assertEqual(sum(measured), POINTS, self.log())
        self.assertEqual(len(measured), launches, self.log())
        with h5py.File("out.h5") as file:
            self.assertEqual(np.count_nonzero((file["launch_start"][()] != b"").any(axis=1)), launches)

    def ask_to_stop(self, job):
        """What --signal=B:USR1@... lets Slurm do before the time is up, and only that."""
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)


class Requeue(UnderSlurm):
    def test_a_job_that_is_asked_to_stop_is_put_back_and_completes(self):
        job = self.submit("several_nodes")
        self.wait_for_points(job)
        self.ask_to_stop(job)
        self.cluster.wait(lambda: self.cluster.job(job)["Restarts"] == "1", 120, "the job is put back")
        before = self.rows()

        self.wait_for_end(job)

        self.assertIn("stopped early: continue with the same command", self.log())
        self.assert_each_point_measured_once(launches=2)
        self.assert_complete(before)


class EveryEnd(UnderSlurm):
    pass


if __name__ == "__main__":
    unittest.main()
