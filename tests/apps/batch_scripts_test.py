"""The batch scripts, with stand-ins for Slurm's commands: what they start, how they drain, when they requeue."""
import os
import signal
import subprocess
import unittest
from pathlib import Path

import program

SLURM = Path(__file__).resolve().parents[2] / "jobs" / "slurm"
SCRIPTS = ("one_node.sbatch", "several_nodes.sbatch")

# Says how it was called, and ends as it is told or when it is asked to drain.
LAUNCHER = """#!/bin/bash
echo "$(basename "$0") $*" >> calls
trap 'exit 75' USR1
[ -n "$ENDS_WITH" ] && exit "$ENDS_WITH"
touch started
while :; do sleep 0.02; done
"""

# Slurm ends a script whose job goes back into the queue.
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> calls
kill -9 $PPID
"""


class BatchScripts(program.InFolder):
    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        for name, text in {"mpirun": LAUNCHER, "srun": LAUNCHER, "scontrol": SCONTROL, "gradflow": "#!/bin/bash\n"}.items():
            path = self.folder / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        (self.folder / "jobs").mkdir()
        (self.folder / "jobs" / "slurm").symlink_to(SLURM)

    def submit(self, script, **environment):
        """Starts the script as Slurm does, in the folder it was submitted from."""
        slurm = {"SLURM_JOB_ID": "42", "SLURM_CPUS_PER_TASK": "3", "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                 "GRADFLOW": "bin/gradflow", "ENDS_WITH": ""}
        return subprocess.Popen(["bash", SLURM / script, "run", "sweep.toml", "-o", "a file.h5"], text=True,
                                env=os.environ | slurm | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []

    def test_bash_understands_them(self):
        for script in [*SCRIPTS, "drain.sh"]:
            checked = subprocess.run(["bash", "-n", SLURM / script], capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), script)

    def test_slurm_reads_what_a_requeue_needs(self):
        for script in SCRIPTS:
            lines = (SLURM / script).read_text().splitlines()
            first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
            options = [line.split()[1] for line in lines[:first_command] if line.startswith("#SBATCH")]
            for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@300"):
                self.assertIn(option, options, script)
            self.assertEqual(sum("#SBATCH -" in line for line in lines), len(options), script)

    def test_they_start_gradflow_with_the_arguments_given(self):
        for script, launcher, environment in (("one_node.sbatch", "mpirun", {}), ("several_nodes.sbatch", "srun", {}),
                                              ("several_nodes.sbatch", "mpirun", {"LAUNCHER": "mpirun"})):
            with self.subTest(script, launcher=launcher):
                job = self.submit(script, ENDS_WITH="0", **environment)
                out, _ = job.communicate(timeout=20)
                self.assertEqual(job.returncode, 0, out)
                (call,) = self.calls()
                self.assertTrue(call.startswith(launcher), call)
                self.assertTrue(call.endswith("bin/gradflow run sweep.toml -o a file.h5"), call)
                self.assertIn("PE=3" if launcher == "mpirun" else "--mpi=pmix --kill-on-bad-exit=1", call)
                (self.folder / "calls").unlink()

    def test_a_request_to_stop_drains_and_requeues(self):
        for script in SCRIPTS:
            for number in (signal.SIGUSR1, signal.SIGTERM):
                with self.subTest(script, signal=number):
                    job = self.submit(script)
                    self.assertTrue(program.wait_until((self.folder / "started").exists, 10))
                    job.send_signal(number)
                    out, _ = job.communicate(timeout=20)
                    self.assertIn("ended with 75", out)
                    self.assertEqual(self.calls()[1:], ["scontrol requeue 42"])
                    (self.folder / "started").unlink()
                    (self.folder / "calls").unlink()

    def test_a_failure_is_not_tried_again(self):
        for status in ("1", "2", "137"):
            with self.subTest(status):
                job = self.submit("several_nodes.sbatch", ENDS_WITH=status)
                job.communicate(timeout=20)
                self.assertEqual(job.returncode, int(status))
                self.assertFalse([call for call in self.calls() if call.startswith("scontrol")])

    def test_requeues_end(self):
        job = self.submit("one_node.sbatch", ENDS_WITH="75", SLURM_RESTART_COUNT="100")
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 75)
        self.assertIn("longer than the time limit", out)
        self.assertEqual(len(self.calls()), 1)

    def test_a_missing_program_is_told(self):
        job = self.submit("one_node.sbatch", GRADFLOW="nowhere/gradflow")
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 2)
        self.assertIn("there is no program nowhere/gradflow", out)
        self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main()
