"""The ready-made questions of jobs/sweeps: each is a sweep the program accepts, and says what it is and what it costs."""
import json
import re
import unittest
from pathlib import Path

import h5py
import numpy as np

import program

FOLDER = Path(__file__).parents[2] / "jobs" / "sweeps"
SWEEPS = sorted(FOLDER.glob("*.toml"))

QUESTIONS = """batch_norm bias_shift depth_against_width dying_relu forget_bias glorot_2010 isometry library_gains lstm_memory
number_formats phase_diagram quickstart random_walk residual_atlas shattered_gradients shattering_grid underflow""".split()


class Sweeps(program.InFolder):
    def test_plan_accepts_every_one(self):
        self.assertEqual([sweep.stem for sweep in SWEEPS], QUESTIONS)
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

    def test_gradient_of_sigmoid_is_one_straight_line_over_ten_thousand_layers(self):
        program.measure(FOLDER / "underflow.toml", "out.h5", "--set", "seed=0")
        with h5py.File("out.h5") as file:
            layer = file["layer"][()]
            sigmoid, relu = file["dgrad_log10_norm_mean"][()]
            self.assertEqual(file["dgrad_dead_sample_fraction"][()].max(), 0)  # they would not be in the mean
            self.assertTrue(np.isfinite(file["dgrad_log10_norm_std"][()]).all(), "of every sample")
        steps = {name: np.diff(norm) / np.diff(layer) for name, norm in (("sigmoid", sigmoid), ("relu", relu))}
        for name, step in steps.items():
            self.assertTrue(np.isfinite(step).all(), name)
            # Steps of ten layers are independent and nearly normal: no break among a thousand is beyond 6 deviations.
            self.assertLess(abs(step - step.mean()).max(), 6 * step.std(), name)
            # Both halves have one slope, and what is left beside the line through both ends is a Brownian bridge: beyond
            # 2.5 once in 130,000 (Kolmogorov).
            first, second = np.array_split(step, 2)
            self.assertLess(abs(first.mean() - second.mean()), 4 * 2 * step.std() / len(step) ** 0.5, name)
            self.assertLess(abs(np.cumsum(step - step.mean())).max(), 2.5 * step.std() * len(step) ** 0.5, name)
        of_layer = 0.626992 + 0.274 / 128  # as the file's comment says
        self.assertLess(abs(steps["sigmoid"].mean() - of_layer), 4 * steps["sigmoid"].std() / len(layer) ** 0.5)
        self.assertLess(sigmoid[0], -6200)
        self.assertGreater(relu[0], 1400)

    def test_every_one_says_what_it_asks(self):
        for sweep in SWEEPS:
            with self.subTest(sweep.stem):
                self.assertRegex(sweep.read_text(), r"(?s)\A# .+\n#\n# Question .+\n# Theory .+\n# Figure .+\n# Cost .+\ntitle = ")


if __name__ == "__main__":
    unittest.main()
