"""A million points of 64 layers: what the file costs. Figures are printed.

Called as: million_test.py GRADFLOW MPIEXEC [short | full] [unittest arguments]
"""
import json
import os
import sys
import time
import unittest

import program

EXTENT = sys.argv.pop(1)
FULL = EXTENT == "full"

SWEEP = """
[network]
depth = 64
width = 64
[data]
batch = 32
[statistics]
preset = "lean"
[sweep]
init.sigma_w = { linspace = [0.5, 2.5, 1000] }
seed = { range = [0, 1000] }
"""


class Million(program.InFolder):
    def run_for(self, seconds, *options):
        """Seconds the program took until the file had its name, and all."""
        begin = time.monotonic()
        process = program.start("run", "sweep.toml", "-o", "out.h5", "--max-time", seconds, *options)
        self.addCleanup(lambda: process.poll() is None and program.kill(process))
        self.assertTrue(program.wait_until(lambda: os.path.exists("out.h5") or process.poll() is not None, 300))
        created = time.monotonic() - begin
        _, err = process.communicate(timeout=600)
        self.assertEqual(process.returncode, program.RESUMABLE, err)
        return created, time.monotonic() - begin

    def test_skeleton_status_and_commits(self):
        self.write("sweep.toml", SWEEP.replace("[0, 1000]", "[0, 1]"))
        small, _ = self.run_for("1s")
        os.unlink("out.h5")
        self.write("sweep.toml", SWEEP)
        limit = 120 if FULL else 10
        created, whole = self.run_for(f"{limit}s", "--trace", "trace.json")
        begin = time.monotonic()
        now = json.loads(program.run("status", "--json", "out.h5").stdout)
        status = time.monotonic() - begin
        used = os.stat("out.h5").st_blocks * 512

        busy = {}
        trace = json.loads((self.folder / "trace.json").read_text())
        for event in trace["traceEvents"]:
            if event.get("ph") == "X":
                kind = event["name"].split()[0]
                busy[kind] = busy.get(kind, 0) + event["dur"] / 1e6
        self.assertIn("commit", busy)
        share = busy["commit"] / max(1e-9, sum(busy.values()) - busy.get("wait", 0))
        print(f"1,000,000 points of 64 layers: file after {created:.2f} s, {created - small:.2f} s more than one of 1000 "
              f"points; status in {status:.2f} s, {now['done']} points in {whole:.1f} s of {limit}, commits {100 * share:.1f} % of the work, "
              f"{used / 2**20:.0f} MiB on the disk of {os.path.getsize('out.h5') / 2**30:.1f} GiB")
        self.assertEqual(now["points"], 1_000_000)
        self.assertLess(status, 1 * program.PATIENCE)
        if FULL:
            self.assertLess(created - small, 1)
            self.assertLess(share, 0.05)
        self.assertEqual(now["left"], 1_000_000 - now["done"])
        self.assertLess(used, os.path.getsize("out.h5") / 4, "what is not measured takes no space")


if __name__ == "__main__":
    unittest.main()
