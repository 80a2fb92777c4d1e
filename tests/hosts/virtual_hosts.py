"""Hosts on this machine: each with a name, a network, and shared memory of its own, joined by a switch. Needs root.

A host is a process that sleeps in namespaces of its own. When the process ends the kernel takes the namespaces away, and
the cables with them: nothing of this machine's own network is touched, and nothing is left behind.
"""
import os
import subprocess
from pathlib import Path

import family
import program

# As a host keeps them: its own /dev/shm and /tmp, its own view of mounts, its name.
HOST = """
mount -t tmpfs none /dev/shm
hostname {name}
ip link set lo up
exec sleep infinity
"""


class VirtualHosts:
    def __init__(self, folder, names):
        self.folder = Path(folder)
        self.names = names
        self.family = family.Family(self.folder)
        try:
            (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(
                f"{self.address(name)} {name}\n" for name in names))
            self.switch = self.begin("switch", "ip link set lo up; exec sleep infinity", "--net")
            self.on(None, "ip", "link", "add", "bridge", "type", "bridge")
            self.on(None, "ip", "link", "set", "bridge", "up")
            self.pids = {name: self.begin(name, self.host_script(name), "--net", "--uts", "--ipc", "--mount") for name in names}
            for name in names:
                self.connect(name)
            program.wait_until(self.all_reach_all, 60, pause=0.1)
        except BaseException:
            self.end()
            raise

    def host_script(self, name):
        return f"mount --bind {self.folder}/hosts /etc/hosts\n" + HOST.format(name=name)

    def begin(self, name, script, *namespaces):
        """@return the process that keeps the namespaces, once it is asleep in them"""
        pid = self.family.start("unshare", *namespaces, "--", "bash", "-e", "-c", script, log=self.folder / f"{name}.log")
        asleep = lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text()
        if not program.wait_until(asleep, 30):
            raise AssertionError(f"{name}: {(self.folder / f'{name}.log').read_text()}")
        return pid

    def address(self, name):
        return f"10.77.0.{1 + self.names.index(name)}"

    def connect(self, name):
        self.on(None, "ip", "link", "add", name, "type", "veth", "peer", "name", "cable", "netns", self.pids[name])
        self.on(None, "ip", "link", "set", name, "master", "bridge", "up")
        self.on(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "cable")
        self.on(name, "ip", "link", "set", "cable", "up")

    def entering(self, name):
        """What has to stand before a command so that it runs on a host; no name: on the switch."""
        if name is None:
            return ["nsenter", f"--target={self.switch}", "--net"]
        return ["nsenter", f"--target={self.pids[name]}", "--net", "--uts", "--ipc", "--mount"]

    def on(self, name, *command, check=True):
        return subprocess.run([*self.entering(name), *map(str, command)], check=check, capture_output=True, text=True,
                              timeout=120)

    def cut_off(self, name):
        """Pulls the cable out of the switch: nothing arrives, and nobody is told."""
        self.on(None, "ip", "link", "set", name, "down")

    def connect_again(self, name):
        self.on(None, "ip", "link", "set", name, "up")

    def reaches(self, one, other):
        """Whether a packet gets there and back: an answer that nobody listens is an answer."""
        asked = self.on(one, "bash", "-c", f"timeout 2 bash -c ': < /dev/tcp/{self.address(other)}/9'", check=False)
        return "refused" in asked.stderr

    def all_reach_all(self):
        return all(self.reaches(one, other) for one in self.names for other in self.names if one != other)

    def end(self):
        self.family.end()


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None
