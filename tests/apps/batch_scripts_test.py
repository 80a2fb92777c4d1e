"""The batch scripts, with stand-ins for Slurm's commands: what they start, how they drain, when they requeue."""
import os
import signal
import subprocess
import unittest
from pathlib import Path

import program

SLURM = Path(__file__).resolve().parents[2] / "jobs" / "slurm"
SCRIPTS = ("one_node.sbatch", "several_nodes.sbatch", "preemptible.sbatch")

# Says how it was called, and ends as it is told or when it is asked to drain.
LAUNCHER = """#!/bin/bash
case "$*" in *" true") exit "${NODES_ANSWER_WITH:-0}" ;; esac
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

    def submit(self, script, *arguments, **environment):
        """Starts the script as Slurm does, in the folder it was submitted from."""
        slurm = {"SLURM_JOB_ID": "42", "SLURM_CPUS_PER_TASK": "3", "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                 "GRADFLOW": "bin/gradflow", "ENDS_WITH": ""}
        arguments = arguments or ("run", "sweep.toml", "-o", "a file.h5")
        return subprocess.Popen(["bash", SLURM / script, *arguments], text=True,
                                env=os.environ | slurm | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []

    def test_bash_understands_them(self):
        for script in [*SCRIPTS, "array.sbatch", "drain.sh"]:
            checked = subprocess.run(["bash", "-n", SLURM / script], capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), script)

    def test_slurm_reads_what_a_requeue_needs(self):
        for script in [*SCRIPTS, "array.sbatch"]:
            lines = (SLURM / script).read_text().splitlines()
            first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
            options = [line.split()[1] for line in lines[:first_command] if line.startswith("#SBATCH")]
            for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@300"):
                self.assertIn(option, options, script)
            self.assertEqual(sum("#SBATCH -" in line for line in lines), len(options), script)

    def test_they_start_gradflow_with_the_arguments_given(self):
        for script, launcher, environment in (("one_node.sbatch", "mpirun", {}), ("several_nodes.sbatch", "srun", {}),
                                              ("preemptible.sbatch", "srun", {}), ("several_nodes.sbatch", "mpirun", {"LAUNCHER": "mpirun"})):
            with self.subTest(script, launcher=launcher):
                job = self.submit(script, ENDS_WITH="0", **environment)
                out, _ = job.communicate(timeout=20)
                self.assertEqual(job.returncode, 0, out)
                (call,) = self.calls()
                self.assertTrue(call.startswith(launcher), call)
                self.assertTrue(call.endswith("bin/gradflow run sweep.toml -o a file.h5"), call)
                self.assertIn("PE=3" if launcher == "mpirun" else "--mpi=pmix --kill-on-bad-exit=1", call)
                (self.folder / "calls").unlink()

    def test_a_request_to_stop_drains_and_a_USR1_requeues(self):
        for script in SCRIPTS:
            for number in (signal.SIGUSR1, signal.SIGTERM):
                with self.subTest(script, signal=number):
                    job = self.submit(script)
                    self.assertTrue(program.wait_until((self.folder / "started").exists, 10))
                    job.send_signal(number)
                    out, _ = job.communicate(timeout=20)
                    self.assertIn("ended with 75", out)
                    # A TERM comes to a job that was cancelled or gives way: Slurm knows whether it is to go on.
                    put_back = ["scontrol requeue 42"] if number == signal.SIGUSR1 else []
                    self.assertEqual(self.calls()[1:], put_back)
                    (self.folder / "started").unlink()
                    (self.folder / "calls").unlink()

    def test_a_failure_is_not_tried_again(self):
        for status in ("1", "2", "137"):
            with self.subTest(status):
                job = self.submit("several_nodes.sbatch", ENDS_WITH=status)
                job.communicate(timeout=20)
                self.assertEqual(job.returncode, int(status))
                self.assertFalse([call for call in self.calls() if call.startswith("scontrol")])

    def test_a_failure_of_a_node_is(self):
        for status in ("1", "137"):
            with self.subTest(status):
                job = self.submit("several_nodes.sbatch", ENDS_WITH=status, NODES_ANSWER_WITH="1", SLURM_JOB_NUM_NODES="2")
                out, _ = job.communicate(timeout=20)
                self.assertIn("a node of this job does not answer", out)
                self.assertEqual(self.calls()[1:], ["scontrol requeue 42"])
                (self.folder / "calls").unlink()

    def test_a_mistake_is_not_tried_again_whatever_the_nodes_do(self):
        job = self.submit("several_nodes.sbatch", ENDS_WITH="2", NODES_ANSWER_WITH="1", SLURM_JOB_NUM_NODES="2")
        job.communicate(timeout=20)
        self.assertEqual((job.returncode, len(self.calls())), (2, 1))

    def test_an_element_of_an_array_measures_its_share(self):
        element = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "ENDS_WITH": "0"}
        job = self.submit("array.sbatch", "a sweep.toml", "all of it", "--stages", "2", **element)
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 0, out)
        (call,) = self.calls()
        self.assertTrue(call.endswith("run a sweep.toml -o all of it.3.h5 --shard 3/8 --stages 2"), call)

    def test_without_an_array_the_shares_are_merged(self):
        (self.folder / "bin" / "gradflow").write_text('#!/bin/bash\nprintf "%s|" "$@" > merged\n')
        for share in range(1, 11):
            self.write(f"all of it.{share}.h5", "")
        job = self.submit("array.sbatch", "a sweep.toml", "all of it")
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 0, out)
        words = (self.folder / "merged").read_text().split("|")[:-1]
        self.assertEqual(words[0], "merge")
        self.assertEqual(sorted(words[1:11]), sorted(f"all of it.{share}.h5" for share in range(1, 11)))
        self.assertEqual(words[11:], ["-o", "all of it.h5"])

    def test_an_array_without_names_is_told(self):
        job = self.submit("array.sbatch", "sweep.toml")
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 2)
        self.assertIn("usage: sbatch", out)

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
