"""The ready-made questions of jobs/sweeps: each is a sweep the program accepts, and says what it is and what it costs."""
import json
import re
import unittest
from pathlib import Path

import h5py

import program

SWEEPS = sorted((Path(__file__).parents[2] / "jobs" / "sweeps").glob("*.toml"))


class Sweeps(program.InFolder):
    def test_plan_accepts_every_one(self):
        self.assertGreater(len(SWEEPS), 3)
        for sweep in SWEEPS:
            with self.subTest(sweep.stem):
                ended = program.run("plan", sweep, "--json")
                self.assertEqual(ended.returncode, program.COMPLETE, ended.stderr)
                stated = re.search(r"(?m)^# Cost +([\d,]+) points", sweep.read_text())
                self.assertIsNotNone(stated, "its comment states the number of points")
                self.assertEqual(json.loads(ended.stdout)["points"], int(stated[1].replace(",", "")))

    def test_every_one_runs_and_is_reported_in_small(self):
        small = ["network.depth=12", "network.width=32", "data.batch=8", "seed=0"]
        fewer = {"phase_diagram": ["init.sigma_w=[0.9, 1.8]", "init.sigma_b=[0.0, 0.5]"],
                 "quickstart": ["init.sigma_w=[0.9, 1.8]"]}
        for sweep in SWEEPS:
            with self.subTest(sweep.stem):
                sets = [word for setting in small + fewer.get(sweep.stem, []) for word in ("--set", setting)]
                program.measure(sweep, f"{sweep.stem}.h5", *sets)
                with h5py.File(f"{sweep.stem}.h5") as file:
                    self.assertEqual(set(file["status"][:]), {1})
                ended = program.run("report", f"{sweep.stem}.h5", "-o", f"{sweep.stem}.html")
                self.assertEqual(ended.returncode, program.COMPLETE, ended.stderr)

    def test_every_one_says_what_it_asks(self):
        for sweep in SWEEPS:
            with self.subTest(sweep.stem):
                self.assertRegex(sweep.read_text(), r"(?s)\A# .+\n#\n# Question .+\n# Theory .+\n# Figure .+\n# Cost .+\ntitle = ")


if __name__ == "__main__":
    unittest.main()
