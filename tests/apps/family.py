"""Processes of a test, and everything they start, which end with the test however it ends: by kill -9 too.

A guard starts them. It is no child of the test, since CTest kills a test that is too slow together with its children.
Daemons that leave their parents become the guard's own (it is their "subreaper"). It waits for the test to close a pipe,
which the kernel does for a test that is killed; then it ends its whole family and removes the test's folder.
"""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


class Family:
    """@param folder  removed after the last process has ended"""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.guard = subprocess.Popen([sys.executable, "-B", __file__, str(folder)], stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.guard_pid = int(self.guard.stdout.readline())
        self.guard.wait()  # the guard proper is its child, and nobody's any more

    def start(self, *command, log, env=None, cwd=None):
        """Starts a process without waiting for it, its output appended to the file `log`. @return its process id"""
        request = {"command": [str(word) for word in command], "log": str(log), "env": env or dict(os.environ),
                   "cwd": str(cwd or self.folder)}
        self.guard.stdin.write(json.dumps(request) + "\n")
        self.guard.stdin.flush()
        answer = json.loads(self.guard.stdout.readline())
        if isinstance(answer, str):
            raise AssertionError(f"{command} did not start: {answer}")
        return answer

    def end(self):
        """Ends all of them; returns when none is left."""
        self.guard.stdin.close()
        self.guard.stdout.read()  # until the guard has ended, too
        self.guard.stdout.close()


def children(pid):
    """Process ids of the children of a process that may have ended."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def descendants(pid):
    return [below for child in children(pid) for below in (child, *descendants(child))]


def begin(request):
    """The process id, or what went wrong."""
    try:
        with open(request["log"], "ab") as log:
            started = subprocess.Popen(request["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=request["env"], cwd=request["cwd"], start_new_session=True,
                                       preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_DFL))
            started.returncode = 0  # nobody waits for it: the kernel forgets a child of the guard when it ends
            return started.pid
    except OSError as error:
        return str(error)


def guard(folder):
    if os.fork() != 0:
        os._exit(0)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        print(json.dumps(begin(json.loads(line))), flush=True)

    end = time.monotonic() + 60
    while family := descendants(os.getpid()):
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(sys.argv[1])
