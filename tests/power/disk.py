"""A disk whose power can be cut: what has reached it is kept, what the system still holds in memory is not.

The disk is a file in a file system that lies in a file itself. Only this outer file system is frozen while the disk is
copied: freezing the inner one would bring to the disk what the run has not. Everything is mounted in the mount namespace
of the process, which is to have one of its own.
"""
import subprocess
from pathlib import Path

import program

MIB = 1 << 20

# Runs apart from the test: should the test be killed meanwhile, nothing stays frozen.
CUT = """
fsfreeze --freeze "$1" || exit
cp --sparse=always "$1/disk" "$2.part"
fsfreeze --unfreeze "$1"
mv "$2.part" "$2"
"""


class Disk:
    def __init__(self, folder, size=256 * MIB):
        self.outer, self.inner = Path(folder) / "outer", Path(folder) / "disk"
        make(folder / "outer.image", 2 * size)
        mount(folder / "outer.image", self.outer)
        make(self.outer / "disk", size)
        mount(self.outer / "disk", self.inner)

    def cut_power(self, copy):
        """Leaves in `copy` what is on the disk at this moment."""
        subprocess.run(["setsid", "--fork", "bash", "-c", CUT, "bash", self.outer, copy], check=True)
        if not program.wait_until(Path(copy).exists, 120):
            raise AssertionError("the disk could not be copied")

    def remove(self):
        unmount(self.inner)
        unmount(self.outer)


class AfterPowerCut:
    """The copy of a disk, mounted: the file system replays its journal first."""

    def __init__(self, copy, folder):
        self.copy, self.folder = copy, Path(folder)

    def __enter__(self):
        mount(self.copy, self.folder)
        return self.folder

    def __exit__(self, *_):
        unmount(self.folder)


def make(image, size):
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)


def mount(image, folder):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)


def unmount(folder):
    subprocess.run(["umount", folder], check=False)
