"""Several hosts: messages cross a network, memory is not shared. Same bits; a host that is cut off costs nothing finished."""
import os
import unittest

import numpy as np

import long_sweeps
import program
import results
import virtual_hosts

HOSTS = ["alpha", "beta", "gamma"]
POINTS = 600

SWEEP = long_sweeps.rectangle(seeds=100)

# Every message of a pipeline waits up to this time: the sweep lasts long enough to be disturbed, without work.
SLOW = "40000"

# How mpirun reaches another host: as ssh would.
AGENT = """#!/bin/bash
host=$1
shift
case $host in
{cases}esac
echo "there is no host $host" >&2
exit 1
"""


class Hosts(program.InFolder):
    @classmethod
    def setUpClass(cls):
        cls.hosts = virtual_hosts.VirtualHosts(program.temporary_folder(), HOSTS)
        cls.addClassCleanup(cls.hosts.end)
        cases = "".join(f'{name}) exec {" ".join(cls.hosts.entering(name))} bash -c "$*" ;;\n' for name in HOSTS)
        cls.agent = cls.hosts.folder / "agent"
        cls.agent.write_text(AGENT.format(cases=cases))
        cls.agent.chmod(0o755)

    def setUp(self):
        super().setUp()
        self.write("sweep.toml", SWEEP)
        program.measure("sweep.toml", "reference.h5", ranks=1, timeout=600)
        self.undisturbed = results.one_hash("reference.h5")

    def start(self, *options, **environment):
        """mpirun on the first host, two ranks on each; its output and its status go to `log`. @return its process"""
        own = {name: value for name, value in os.environ.items() if name != "OMPI_MCA_btl_vader_backing_directory"}
        # A silent host is missed after 10 s, as with jobs/slurm/drain.sh after 30.
        keepalive = {"OMPI_MCA_oob_tcp_keepalive_time": "4", "OMPI_MCA_oob_tcp_keepalive_intvl": "2",
                     "OMPI_MCA_oob_tcp_keepalive_probes": "3"}
        command = [program.MPIEXEC, "-q", "--mca", "plm_rsh_agent", self.agent, "--host",
                   ",".join(f"{name}:2" for name in HOSTS), "-n", "6", "--bind-to", "none",
                   program.GRADFLOW, "run", "sweep.toml", "-o", "out.h5", "--stages", "3", "--threads", "1", *options]
        return self.hosts.family.start(*self.hosts.entering(HOSTS[0]), "env", "-C", self.folder, "bash", "-c", '"$@"; echo "ended with $?"', "bash",
                                       *command, log=self.folder / "log", env=own | keepalive | environment, cwd=self.folder)

    def log(self):
        return (self.folder / "log").read_text()

    def wait(self, happened, seconds, what):
        self.assertTrue(program.wait_until(happened, seconds, pause=0.1), f"{what}: {self.log()}")

    def wait_for_end(self, process):
        self.wait(lambda: not program.is_running(process), 300, "the job ends")
        return self.log()

    def committed(self):
        return np.flatnonzero(results.statuses("out.h5") == 1) if os.path.exists("out.h5") else np.zeros(0, int)

    def ranks(self):
        """Of every host, wherever mpirun has gone."""
        found = [pid for pid in virtual_hosts.family.descendants(self.hosts.family.guard_pid) if program.is_running(pid)]
        return [pid for pid in found if virtual_hosts.program_of(pid) == program.GRADFLOW]

    def test_same_bits_as_on_one_host(self):
        log = self.wait_for_end(self.start())

        self.assertIn("ended with 0", log)
        self.assertEqual(results.one_hash("out.h5"), self.undisturbed)
        self.assertEqual(results.launches("out.h5", "launch_hosts"), [" ".join(HOSTS)])

    def test_a_host_is_cut_off(self):
        for lost in HOSTS[1:]:
            with self.subTest(lost):
                process = self.start(GRADFLOW_SEND_DELAY_MICROSECONDS=SLOW)
                self.wait(lambda: len(self.committed()) > 0 or not program.is_running(process), 120, "points are committed")
                self.assertTrue(program.is_running(process), self.log())

                self.hosts.cut_off(lost)
                log = self.wait_for_end(process)
                self.assertNotIn("ended with 0", log)
                self.wait(lambda: not self.ranks(), 120, "every rank has ended, on the lost host too")
                points = self.committed()
                before = results.rows("out.h5", points)
                self.assertLess(len(points), POINTS, "it was disturbed before its end")

                self.hosts.connect_again(lost)
                self.wait(self.hosts.all_reach_all, 120, f"{lost} can be reached again")
                log = self.wait_for_end(self.start())

                self.assertIn(f"{POINTS} of {POINTS} points done, {POINTS - len(points)} by this run", log)
                self.assertEqual(results.rows("out.h5", points), before)
                self.assertEqual(results.one_hash("out.h5"), self.undisturbed)
                for name in ("out.h5", "log"):
                    os.unlink(name)


if __name__ == "__main__":
    unittest.main()
