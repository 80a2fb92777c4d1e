"""Files that are damaged, or made to do harm: no crash, no hang, one message and exit 2, or an answer.

Every damage is a pure function of its number, so what fails once fails again: GRADFLOW_DAMAGES=first:count tries others.
"""
import gzip
import os
import random
import re
import shutil
import struct
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

import program

# Sanitizers make each start slower, and a death of the library theirs to tell.
READING = os.environ | {"GRADFLOW_READING_SECONDS": "5"}
FIRST, COUNT = map(int, os.environ.get("GRADFLOW_DAMAGES", "0:100").split(":"))

SWEEP = """
title = "small"
[network]
width = 8
[data]
batch = 4
[sweep]
network.depth = [6, 12]
init.sigma_w = [1.0, 2.0]
network.activation = ["tanh", "relu"]
"""

FROM_FILES = """
[network]
width = 6
depth = 3
[data]
source = {source}
batch = 4
[backward]
source = "cross_entropy"
"""

FROM_WEIGHTS = """
[data]
batch = 4
[init]
scheme = {{ name = "file", path = "{path}" }}
"""


def damaged(whole, number):
    """Bytes of a file with damage of this number: every fifth is cut off, the others have 1 to 4 bytes changed, half of them in
    the first 4 KiB, where HDF5 keeps what it steers by."""
    chance = random.Random(number)
    if number % 5 == 0:
        return whole[:chance.randrange(len(whole))]
    changed = bytearray(whole)
    end = min(len(whole), 4096) if number % 2 else len(whole)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(end)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    return bytes(changed)


def replaced(file, name, **dataset):
    """The variable anew, with the attributes it had."""
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, **dataset)
    for key in ("gradflow_role", "long_name", "units"):
        if key in attributes:
            file[name].attrs[key] = attributes[key]


def linked(file, link):
    del file["status"]
    file["status"] = link


def external(file):
    replaced(file, "status", shape=(8,), dtype="i1", external=[("/etc/passwd", 0, 8)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(8,), dtype="i1")
    layout[:] = h5py.VirtualSource("good.h5", "status", shape=(8,))
    del file["status"]
    file.create_virtual_dataset("status", layout)


def announced(file):
    """A thousand bytes that say they are a terabyte."""
    replaced(file, "status", shape=(1 << 40,), dtype="i1", chunks=(1 << 20,), compression="gzip")


# Well-formed HDF5 that is no result file, or one that contradicts itself.
CRAFTED = {
    "an external link": lambda f: linked(f, h5py.ExternalLink("good.h5", "/status")),
    "a soft link": lambda f: linked(f, h5py.SoftLink("/checksum")),
    "a link to itself": lambda f: linked(f, h5py.SoftLink("/status")),
    "external storage": external,
    "a virtual dataset": virtual,
    "a terabyte announced": announced,
    "no status": lambda f: f.__delitem__("status"),
    "no layers": lambda f: f.__delitem__("layer"),
    "no rows": lambda f: f.__delitem__("row_start"),
    "status is a group": lambda f: (f.__delitem__("status"), f.create_group("status")),
    "status is one number": lambda f: replaced(f, "status", data=np.int8(1)),
    "status is a table": lambda f: replaced(f, "status", data=np.ones((8, 2), "i1")),
    "status is text": lambda f: replaced(f, "status", data=["done"] * 8),
    "status of fewer points": lambda f: replaced(f, "status", data=np.ones(3, "i1")),
    "status of no point": lambda f: replaced(f, "status", data=np.ones(0, "i1")),
    "a checksum too few": lambda f: replaced(f, "checksum", data=np.ones(7, "u8")),
    "a statistic of one number": lambda f: replaced(f, "dgrad_log10_norm_mean", data=1.0),
    "a statistic of fewer rows": lambda f: replaced(f, "dgrad_log10_norm_mean", data=np.ones(3)),
    "a statistic of texts": lambda f: replaced(f, "dgrad_log10_norm_mean", data=["x"] * 72),
    "a statistic of four axes": lambda f: replaced(f, "dgrad_log10_norm_mean", data=np.ones((2, 2, 2, 2))),
    "a format too few": lambda f: replaced(f, "format", data=["fp16"]),
    "a format of no name": lambda f: replaced(f, "format", data=np.ones(0, "S4")),
    "a swept key of fewer points": lambda f: replaced(f, "sigma_w", data=np.ones(2)),
    "a swept key of complex numbers": lambda f: replaced(f, "sigma_w", data=np.ones(8, "c16")),
    "a fixed key without a value": lambda f: replaced(f, "width", data=np.ones(0, "i8")),
    "rows that begin past the end": lambda f: f["row_start"].write_direct(np.full(8, 10**6, "u8")),
    "rows past counting": lambda f: f["row_size"].write_direct(np.full(8, (1 << 64) - 1, "u8")),
    "rows that are none": lambda f: f["row_size"].write_direct(np.zeros(8, "u8")),
    "layers that descend": lambda f: f["layer"].write_direct(f["layer"][:][::-1].copy()),
    "layers that are negative": lambda f: f["layer"].write_direct(-f["layer"][:]),
    "a schema of the future": lambda f: f.attrs.modify("gradflow_schema", 10**9),
    "a schema that is text": lambda f: f.attrs.create("gradflow_schema", "one"),
    "a role that is a number": lambda f: f["status"].attrs.create("gradflow_role", 3),
    "a title of numbers": lambda f: f.attrs.create("title", np.ones(5)),
    "more attributes than one may list": lambda f: [f.attrs.create(f"a{i}", i) for i in range(3000)],
    "numbers that are infinite": lambda f: f["dgrad_log10_norm_mean"].write_direct(np.full(72, np.inf)),
    "numbers of every size": lambda f: f["dgrad_log10_norm_mean"].write_direct(np.logspace(-300, 308, 72)),
    "numbers that are none": lambda f: f["dgrad_log10_norm_mean"].write_direct(np.full(72, np.nan)),
    "a stability that is none": lambda f: f["theory_critical_stability"].write_direct(np.full(8, 1e300)),
    "a sweep that is none": lambda f: f.attrs.modify("sweep_file", "= ="),
}

# What a superblock says wrongly: where, and the bytes.
SUPERBLOCKS = {
    "version": (8, b"\x07"), "addresses of 4 bytes": (13, b"\x04"), "lengths of 255 bytes": (14, b"\xff"),
    "leaves of no entry": (16, b"\0\0"), "nodes of no entry": (18, b"\0\0"), "base": (24, b"\x10"),
    "an end before the beginning": (40, b"\0" * 8), "an end that is undefined": (40, b"\xff" * 8),
    "a root group outside": (64, b"\xff" * 7 + b"\0"), "a root group in the superblock": (64, b"\0" * 8),
    "a driver block": (48, b"\x10" + b"\0" * 7),
}


# AddressSanitizer ends the child where it would have gone on or died of a signal: findings count in our code, not in HDF5.
FOUND_IN_HDF5 = re.compile(r"ERROR: AddressSanitizer: .*\n(?:\S.*\n)*(?: +#\d+ \S+ in __interceptor_\S+ .*\n)*"
                           r" +#\d+ \S+ (?:in \S+ )?\(\S*/libhdf5")


class HostileFiles(program.InFolder):
    def setUp(self):
        super().setUp()
        self.write("sweep.toml", SWEEP)
        program.measure("sweep.toml", "good.h5")

    def assert_told(self, name, ended):
        """An answer, or a refusal in one message. -N is a death by signal N, 1 a broken promise of our own.

        1 is an answer, too, where points are torn (verify), or failed by numbers that are sound but beyond any use.
        """
        if FOUND_IN_HDF5.search(ended.stderr):
            return
        point_failed = "0 of 1 points done, 1 failed" in ended.stderr
        answers = (program.COMPLETE, program.MISTAKE, *[program.FAILED] * ("verify" in ended.args or point_failed))
        self.assertIn(ended.returncode, answers, f"{name}: {ended.args}: {ended.stderr}")
        if ended.returncode == program.MISTAKE:
            self.assertEqual(ended.stderr.count("gradflow: "), 1, f"{name}: {ended.stderr}")
            self.assertTrue(ended.stderr.startswith("gradflow: "), f"{name}: {ended.stderr}")

    def read_all(self, cases, commands):
        """Runs commands(number, file) on every file, some at a time. @return for each: how many were refused"""
        def read(case):
            number, (name, file) = case
            return name, [program.run(*command, env=READING, timeout=300) for command in commands(number, file)]

        refused = 0
        with ThreadPoolExecutor(4) as pool:
            for name, endings in pool.map(read, enumerate(cases)):
                for ended in endings:
                    with self.subTest(name):
                        self.assert_told(name, ended)
                        refused += ended.returncode == program.MISTAKE
        return refused

    def damaged_copies(self, source):
        whole = Path(source).read_bytes()
        for number in range(FIRST, FIRST + COUNT):
            name = f"damage_{number}_{source}"
            Path(name).write_bytes(damaged(whole, number))
            yield f"damage {number} of {source}", name

    def crafted_copies(self):
        for number, (name, change) in enumerate(CRAFTED.items()):
            copy = f"crafted_{number}.h5"
            shutil.copy("good.h5", copy)
            with h5py.File(copy, "r+") as file:
                change(file)
            yield name, copy
        for number, (name, (place, wrong)) in enumerate(SUPERBLOCKS.items()):
            whole = bytearray(Path("good.h5").read_bytes())
            whole[place:place + len(wrong)] = wrong
            copy = f"superblock_{number}.h5"
            Path(copy).write_bytes(whole)
            yield f"superblock: {name}", copy

    def test_result_files(self):
        def commands(number, file):
            yield ("show", file)
            yield [("report", file, "-o", file + ".html"), ("show", file, "--point", 3), ("status", file), ("verify", file),
                   ("export", file, "--point", 3, "-o", file + ".weights"), ("merge", file + ".joined", file, "good.h5"),
                   ("finalize", file, file + ".final")][number % 7]

        cases = [*self.damaged_copies("good.h5"), *self.crafted_copies()]
        self.assertGreaterEqual(len(cases), 150)
        refused = self.read_all(cases, commands)
        self.assertGreater(refused, len(cases) // 4, "most damage to what HDF5 steers by is noticed")

    def test_result_files_that_are_continued(self):
        """What `run` finds in its way is tried in a child process before MPI begins."""
        cases = [("truncated", damaged(Path("good.h5").read_bytes(), 0))]
        for name, change in list(CRAFTED.items())[:6]:
            shutil.copy("good.h5", "crafted.h5")
            with h5py.File("crafted.h5", "r+") as file:
                change(file)
            cases.append((name, Path("crafted.h5").read_bytes()))
        for number, (name, whole) in enumerate(cases):
            Path("out.h5").write_bytes(whole)
            with self.subTest(name):
                ended = program.run("run", "sweep.toml", "-o", "out.h5", ranks=2 if number < 2 else None, env=READING)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assert_told(name, ended)
                self.assertEqual(Path("out.h5").read_bytes(), whole)

    def write_inputs(self):
        with h5py.File("data.h5", "w") as file:
            file.create_dataset("x", data=np.random.default_rng(1).normal(size=(20, 5)), chunks=(4, 5), compression="gzip")
            file["y"] = np.arange(20) % 5
        with h5py.File("weights.h5", "w") as file:
            for layer in (1, 2):
                file[f"layer_{layer}/weight"] = np.ones((6, 6))
                file[f"layer_{layer}/bias"] = np.ones(6)
        images = bytes([0, 0, 8, 2]) + struct.pack(">II", 20, 5) + bytes(range(100))
        Path("images.idx").write_bytes(images)
        Path("images.idx.gz").write_bytes(gzip.compress(images, mtime=0))
        Path("labels.idx").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 20) + bytes([1] * 20))

    def sweep_of(self, file):
        """A sweep file that reads this one."""
        if "data" in file:
            text = FROM_FILES.format(source=f'{{ name = "hdf5", path = "{file}", dataset = "x", labels = "y" }}')
        elif "weights" in file:
            text = FROM_WEIGHTS.format(path=file)
        else:
            text = FROM_FILES.format(source=f'{{ name = "idx", images = "{file}", labels = "labels.idx" }}')
        return self.write(file + ".toml", text)

    def inputs(self):
        self.write_inputs()
        for source in ("data.h5", "weights.h5", "images.idx", "images.idx.gz"):
            whole = Path(source).read_bytes()
            for number in range(FIRST, FIRST + COUNT // 8):
                name = f"{number}_{source}"
                Path(name).write_bytes(damaged(whole, number))
                yield f"damage {number} of {source}", name
        yield from self.bombs()

    def bombs(self):
        """Small files that ask for much memory, or for the files of others."""
        Path("long_images.idx").write_bytes(bytes([0, 0, 8, 2]) + struct.pack(">II", 1 << 15, 1 << 15))
        yield "a gigabyte announced", "long_images.idx"
        Path("bomb_images.idx.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 2]) + struct.pack(">II", 4, 5) + bytes(10**7)))
        yield "more than is announced", "bomb_images.idx.gz"
        with h5py.File("sparse_data.h5", "w") as file:
            file.create_dataset("x", shape=(1 << 14, 1 << 13), dtype="f4", chunks=(1 << 10, 1 << 10), compression="gzip")
            file["y"] = np.zeros(1 << 14)
        yield "values that are stored nowhere", "sparse_data.h5"
        with h5py.File("external_data.h5", "w") as file:
            file["x"] = h5py.ExternalLink("data.h5", "x")
            file["y"] = np.zeros(20)
        yield "an external link", "external_data.h5"
        with h5py.File("passwords_data.h5", "w") as file:
            file.create_dataset("x", shape=(20, 5), dtype="u1", external=[("/etc/passwd", 0, 100)])
            file["y"] = np.zeros(20)
        yield "external storage", "passwords_data.h5"
        layout = h5py.VirtualLayout(shape=(20, 5), dtype="f8")
        layout[:] = h5py.VirtualSource("data.h5", "x", shape=(20, 5))
        with h5py.File("virtual_data.h5", "w", libver="latest") as file:
            file.create_virtual_dataset("x", layout)
            file["y"] = np.zeros(20)
        yield "a virtual dataset", "virtual_data.h5"

    def test_input_of_plan(self):
        """`plan` reads what `run` reads; every fourth is run."""
        def commands(number, file):
            sweep = self.sweep_of(file)
            yield ("run", sweep, "-o", file + ".out") if number % 4 == 0 or "damage" not in file else ("theory", sweep)

        self.read_all(list(self.inputs()), commands)

    def test_refused_on_every_rank_count(self):
        self.write_inputs()
        for ranks, (name, file) in zip((2, 3), self.bombs()):
            with self.subTest(name, ranks=ranks):
                ended = program.run("run", self.sweep_of(file), "-o", "out.h5", ranks=ranks, env=READING)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assert_told(name, ended)
                self.assertFalse(Path("out.h5").exists())
        for name, file in self.bombs():
            with self.subTest(name, command="submit"):
                ended = program.run("submit", self.sweep_of(file), "--nodes", "1", "--time", "1h", "--dry-run", env=READING)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assert_told(name, ended)

    def test_texts_of_a_file_are_only_texts(self):
        """A title and a name of a value that a terminal or a browser would obey."""
        with h5py.File("good.h5", "r+") as file:
            file.attrs.create("title", np.bytes_("\x1b]0;owned\x07<script>alert(1)</script>\u202e".encode()))
            replaced(file, "activation", data=["\x1b[31m<img src=x onerror=alert(1)>"] * 4 + ["relu"] * 4)
        shown = program.run("show", "good.h5")
        self.assertEqual(shown.returncode, program.COMPLETE, shown.stderr)
        self.assertFalse([c for c in shown.stdout if c != "\n" and not c.isprintable()], shown.stdout)
        program.run("report", "good.h5", "-o", "page.html")
        page = Path("page.html").read_text()
        self.assertNotIn("<script>alert", page)
        self.assertNotIn("<img src", page)
        self.assertNotIn("\x1b", page)

    def test_messages_are_only_texts(self):
        self.write("evil.toml", '[network]\n"\\u001b[31mdepht" = 3\n')
        for arguments in (("run", "evil.toml", "-o", "out.h5"), ("plan", "\x1b[31mno.toml"), ("show", "\x1b[31mno.h5")):
            with self.subTest(arguments):
                ended = program.run(*arguments)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assertNotIn("\x1b", ended.stderr)

    def test_a_grid_of_a_trillion_points(self):
        axis = "{ linspace = [1.0, 2.0, 10000] }"
        self.write("huge.toml", f"[network]\nwidth = 8\ndepth = 6\n[sweep]\nseed = {{ range = [0, 10000] }}\n"
                                f"init.sigma_w = {axis}\ninit.sigma_b = {axis}\n")
        planned = program.run("plan", "huge.toml", timeout=300)
        self.assertEqual(planned.returncode, program.COMPLETE, planned.stderr)
        self.assertIn("1000000000000", planned.stdout)

        before = sorted(os.listdir())
        refused = program.run("run", "huge.toml", "-o", "huge.h5")
        self.assertEqual(refused.returncode, program.MISTAKE, refused.stderr)
        self.assertIn("1000000000000 points", refused.stderr)
        self.assertEqual([name for name in sorted(os.listdir()) if name not in before and "huge" in name], [])


if __name__ == "__main__":
    unittest.main()
