"""gradflow submit: the batch script it writes, whatever the names; what it says of time; a stand-in for sbatch."""
import os
import re
import subprocess
import unittest

import program

SWEEP = """
title = "quotes ' and $(touch owned) `touch owned`"
[network]
depth = 6
width = 8
[data]
batch = 4
[sweep]
seed = { range = [0, 4] }
"""

HOSTILE = [
    "it's.toml", "$(touch owned).toml", "`touch owned`.toml", "a; touch owned #.toml", "two words.toml", "-x.toml",
    "line\ntouch owned\n#SBATCH --nodes=7\n.toml", '"double" \\ back.toml', "&& touch owned.toml", "~ * ? [a] {b,c}.toml",
    ")bash\" touch owned.toml",
]

# Says how it was called, and what for.
SBATCH = """#!/bin/bash
cat > submitted
env > environment
echo "Submitted batch job 42"
exit "${SBATCH_ENDS_WITH:-0}"
"""

LAUNCHER = """#!/bin/bash
printf '%s\\0' "$@" > words
"""


class Submit(program.InFolder):
    def setUp(self):
        super().setUp()
        self.write("sweep.toml", SWEEP)
        (self.folder / "bin").mkdir()
        self.path = f"{self.folder}/bin:{os.environ['PATH']}"

    def stand_in(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def submit(self, *arguments, **environment):
        return program.run("submit", *arguments, env=os.environ | {"PATH": self.path} | environment)

    def script(self, *arguments):
        done = self.submit(*arguments, "--dry-run")
        self.assertEqual(done.returncode, program.COMPLETE, done.stderr)
        return done.stdout

    def test_the_script_says_what_was_predicted(self):
        script = self.script("sweep.toml", "--nodes", 3, "--time", "90m", "--cores-per-node", 8, "--ranks-per-node", 2,
                             "--partition", "short", "--account", "me", "--set", "seed=[1, 2]", "--stages", "2")
        for line in ("--nodes=3", "--ntasks-per-node=2", "--cpus-per-task=4", "--time=0-01:30:00", "--requeue",
                     "--partition=short", "--account=me", "--open-mode=append", "--mem=512M"):
            self.assertIn(f"\n#SBATCH {line}\n", script)
        self.assertRegex(script, r"\n#SBATCH --signal=B:USR1@6\d\n")
        self.assertIn(f"\nGRADFLOW='{os.path.realpath(program.GRADFLOW)}'\n", script)
        self.assertTrue(script.endswith("\"$gradflow\" 'run' 'sweep.toml' '-o' 'sweep.h5' '--set' 'seed=[1, 2]' '--stages' '2'\n"))
        self.assertIn("run_and_requeue srun --mpi=pmix --kill-on-bad-exit=1", script)
        self.assertIn("run_and_requeue mpirun -q", self.script("sweep.toml", "--nodes", 1, "--time", "90m"))
        self.assertIn("\n#SBATCH --no-requeue\n", self.script("sweep.toml", "--nodes", 1, "--time", "90m", "--no-requeue"))

    def test_no_name_is_executed(self):
        self.stand_in("mpirun", LAUNCHER)
        for name in HOSTILE:
            with self.subTest(name):
                self.write(name, SWEEP)
                file = f"./{name}" if name.startswith("-") else name
                script = self.script(file, "--nodes", 1, "--time", "1h", "-o", f"{name}.h5", "--ranks-per-node", 1)
                options = [line for line in script.split("\nGRADFLOW=")[0].splitlines() if line.startswith("#SBATCH")]
                self.assertIn("#SBATCH --nodes=1", options)
                self.assertNotIn("#SBATCH --nodes=7", options)

                (self.folder / "job").write_text(script)
                ended = subprocess.run(["bash", "job"], env=os.environ | {"PATH": self.path}, capture_output=True, text=True)
                self.assertEqual(ended.returncode, 0, ended.stderr)

                words = (self.folder / "words").read_text().split("\0")[:-1]
                given = words[words.index("run"):]
                output = f"./{name}.h5" if name.startswith("-") else f"{name}.h5"
                self.assertEqual(given, ["run", file, "-o", output])
                self.assertFalse(os.path.exists("owned"))

    def test_options_for_slurm_are_names(self):
        for option in ("--partition", "--account"):
            for value in ("a b", "x\n#SBATCH --nodes=7", "$(touch owned)", "-x"):
                done = self.submit("sweep.toml", "--nodes", 1, "--time", "1h", "--dry-run", f"{option}={value}")
                self.assertEqual(done.returncode, program.MISTAKE)
                self.assertIn(f"{option}: expected a name", done.stderr)
                self.assertEqual(done.stdout, "")

    def test_sbatch_gets_the_script_and_an_environment_without_mpi(self):
        self.stand_in("sbatch", SBATCH)
        done = self.submit("sweep.toml", "--nodes", 1, "--time", "1h", "--ranks-per-node", 1)
        self.assertEqual(done.returncode, program.COMPLETE, done.stderr)
        self.assertIn("Submitted batch job 42", done.stdout)
        submitted = (self.folder / "submitted").read_text()
        self.assertEqual(submitted, self.script("sweep.toml", "--nodes", 1, "--time", "1h", "--ranks-per-node", 1))
        environment = (self.folder / "environment").read_text()
        self.assertFalse(re.search(r"^(PMIX_|OMPI_COMM_)", environment, re.MULTILINE), environment)

    def test_sbatch_that_fails(self):
        self.stand_in("sbatch", SBATCH)
        done = self.submit("sweep.toml", "--nodes", 1, "--time", "1h", SBATCH_ENDS_WITH="1")
        self.assertEqual(done.returncode, program.FAILED)

    def test_no_sbatch(self):
        for name in ("orted", "ssh"):  # what Open MPI looks for
            (self.folder / "bin" / name).symlink_to(f"/usr/bin/{name}" if os.path.exists(f"/usr/bin/{name}") else "/bin/true")
        done = self.submit("sweep.toml", "--nodes", 1, "--time", "1h", PATH=f"{self.folder}/bin")
        self.assertEqual(done.returncode, program.MISTAKE, done.stderr)
        self.assertIn("there is no sbatch on the PATH", done.stderr)
        self.assertIn("--dry-run", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_time_that_does_not_suffice_is_noted(self):
        long = ("--set", "network.depth=2000", "--set", "network.width=1024", "--set", "data.batch=1024",
                "--set", "seed={ range = [0, 2000] }", "--ranks-per-node", 1, "--cores-per-node", 1, "--stages", 1)
        done = self.submit("sweep.toml", "--nodes", 1, "--time", "10h", "--dry-run", *long)
        self.assertEqual(done.returncode, program.COMPLETE, done.stderr)
        times = int(re.search(r"put back into the queue about (\d+) times", done.stderr)[1])
        self.assertGreaterEqual(times, 1)
        self.assertIn(f"\nMOST_RESTARTS={10 + 3 * times}\n", done.stdout)

        done = self.submit("sweep.toml", "--nodes", 1, "--time", "1m", "--dry-run", *long)
        self.assertEqual(done.returncode, program.MISTAKE, done.stderr)
        self.assertIn("no start would ever finish one", done.stderr)

    def test_mistakes(self):
        for arguments, said in ((("--time", "soon"), '--time: read "soon"'), (("--time", "20s"), "at least 1m"),
                                (("--time", "1h", "--cores-per-node", 2, "--ranks-per-node", 3), "a node has 2 cores"),
                                (("--time", "1h", "--set", "network.depht=3"), "network.depht")):
            done = self.submit("sweep.toml", "--nodes", 1, "--dry-run", *arguments)
            self.assertEqual(done.returncode, program.MISTAKE, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
