"""The gradflow program as a user starts it: alone or under mpirun, waited for or left running.

Every script here is called as: SCRIPT.py GRADFLOW MPIEXEC [unittest arguments]
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

GRADFLOW, MPIEXEC = sys.argv[1:3]
del sys.argv[1:3]

# Under a sanitizer everything takes longer.
PATIENCE = int(os.environ.get("GRADFLOW_TIMEOUT_FACTOR", "1"))

COMPLETE, FAILED, MISTAKE, RESUMABLE = 0, 1, 2, 75


def start(*arguments, ranks=None, **options):
    """Leaves the program running; without ranks it runs alone, which is not the same as mpirun -n 1."""
    launcher = [] if ranks is None else [MPIEXEC, "-q", "-n", str(ranks), "--oversubscribe", "--bind-to", "none"]
    return subprocess.Popen([*launcher, GRADFLOW, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run(*arguments, ranks=None, timeout=120, **options):
    """Waits for the end. A program that hangs is killed and fails the test."""
    process = start(*arguments, ranks=ranks, **options)
    try:
        out, err = process.communicate(timeout=PATIENCE * timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def measure(sweep, output, *options, ranks=None, **popen):
    """Runs a sweep to its end."""
    ended = run("run", sweep, "-o", output, *options, ranks=ranks, **popen)
    if ended.returncode != COMPLETE:
        raise AssertionError(f"{ended.args} ended with {ended.returncode}: {ended.stderr}")
    return ended


def ranks_of(process):
    """Process ids of the ranks: the children of mpirun, or the program itself if it runs alone."""
    if process.args[0] == GRADFLOW:
        return [process.pid]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children]


def signal_each(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def is_running(pid):
    """A zombie is not: it has ended, and only its parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(process):
    """kill -9 of every process of the job at once, mpirun included."""
    ranks = ranks_of(process)
    signal_each([*ranks, process.pid], 9)
    process.communicate()
    wait_until(lambda: not any(map(is_running, ranks)), 10)


def wait_until(happened, seconds, pause=0.005):
    """Whether it happened in time."""
    end = time.monotonic() + PATIENCE * seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(pause)
    return happened()


def temporary_folder():
    return Path(tempfile.mkdtemp(prefix="gradflow_"))


class InFolder(unittest.TestCase):
    """A test with a folder of its own, in which the program is started and where MPI leaves its files too."""

    def setUp(self):
        self.folder = temporary_folder()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        os.environ["TMPDIR"] = os.environ["OMPI_MCA_btl_vader_backing_directory"] = str(self.folder)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name
