"""The same bits for any layout: ranks, stages, groups, threads, schedules, microbatches, bundles, and in how many runs."""
import itertools
import random
import re
import unittest

import h5py
import numpy as np
import xarray

import program
import results

# Widths and batches whose slices had other bits in OpenBLAS, both precisions, a depth for each width.
MANY_SHAPES = """
title = "Shapes that broke bit-identity"
[network]
block = "dense"
[init]
sigma_w = 1.3
sigma_b = 0.1
[statistics]
preset = "full"
[[zip]]
network.width = [5, 10, 16, 32, 48, 50, 100, 200]
network.depth = [4, 5, 6, 7, 9, 11, 13, 17]
network.activation = ["tanh", "relu", "gelu", "sigmoid", "linear", "erf", "softplus", "sin"]
[sweep]
data.batch = [1, 8, 17, 100]
run.precision = ["float32", "float64"]
"""

UNEQUAL_WIDTHS = """
[init]
sigma_b = 0.2
[sweep]
network.widths = [[50, 200, 100, 400, 16], [5, 48, 10, 33, 7, 100]]
init.scheme = ["gaussian", "orthogonal", "he_normal"]
backward.source = ["random", "mse"]
[statistics]
preset = "full"
"""

SHARED_WEIGHTS = """
title = "Points that differ in all that leaves the weights alone"
[network]
depth = 10
width = 50
[sweep]
seed = [1, 2]
network.activation = ["tanh", "relu"]
init.sigma_w = [0.5, 1.5, 30]
init.sigma_b = [0, 0.3]
data.batch = [17, 40]
"""

# Widths of 48 and of 20 have weights of their own; within each, points end at four depths.
SEVERAL_DEPTHS = """
title = "Shallow points stacked with deeper ones"
[network]
activation = "tanh"
[init]
sigma_b = 0.1
[statistics]
preset = "full"
layers = "LAYERS"
[sweep]
network.depth = [3, 7, 12, 4]
network.width = [48, 20]
init.sigma_w = [0.5, 30]
data.batch = [17, 100]
backward.source = ["random", "mse"]
"""

SOME_LAYERS = """
[network]
depth = 37
width = 48
[data]
batch = 40
[statistics]
preset = "full"
layers = "LAYERS"
[sweep]
init.sigma_w = [0.5, 2.5]
backward.shared = [false, true]
"""

# Neighbours on a line and whole batches, which microbatches cut; more samples than units, and fewer.
WHOLE_BATCHES = """
[network]
depth = 6
activation = "relu"
[init]
scheme = "he_normal"
[data]
source = { name = "grid", offset = 1.0 }
[backward]
shared = true
[statistics]
preset = "lean"
also = ["act_effective_rank", "act_stable_rank", "dgrad_lag_corr", "preact_common_share", "dgrad_log2_histogram",
        "act_quantile_over_rms", "dgrad_scaled_underflow_fraction", "dgrad_overflow_fraction", "log10_signal_to_noise"]
loss_scale = 10
[sweep]
network.width = [20, 150]
data.batch = [17, 100]
run.precision = ["float32", "float64"]
"""

# States of two signals cut in time, weights of every step the same, inputs at every step.
RECURRENT = """
[network]
depth = 23
width = 20
[init]
sigma_b = 0.1
[statistics]
preset = "full"
[[zip]]
data.batch = [5, 70]
run.precision = ["float32", "float64"]
[sweep]
network.block = ["rnn", "gru", "lstm"]
network.input = ["zero", "gaussian"]
init.sigma_w = [0.7, 2.5]
"""

# Scales that the data of a whole batch decide, found once and kept; a last layer of its own scale beside them.
SCALED_LAYERS = """
[network]
width = 24
[statistics]
preset = "full"
[sweep]
network.block = ["dense", "residual"]
network.depth = [12, 5]
init.scheme = ["lsuv", "orthogonal"]
network.activation = ["tanh", "relu"]
data.batch = [17, 70]
"""

SMALLER_OUTPUT = """
[network]
depth = 9
width = 24
[init]
scheme = "mup"
[statistics]
preset = "full"
[sweep]
init.sigma_w = [0.7, 1.5]
data.batch = [5, 70]
run.precision = ["float32", "float64"]
"""

# Jacobians of points that differ in all else; whole, few directions, between other layers, none.
JACOBIANS = """
[network]
depth = 11
width = 20
[init]
sigma_b = 0.1
[statistics]
preset = "lean"
[jacobian]
from = 2
[sweep]
network.activation = ["tanh", "relu"]
data.batch = [5, 130]
run.precision = ["float32", "float64"]
[[zip]]
jacobian.directions = ["all", 4, "all"]
jacobian.to = ["last", 9, 6]
init.sigma_w = [1.3, 1.3, 1e-30]
"""

JACOBIANS_OF_BLOCKS = """
[network]
depth = 9
width = 20
[init]
sigma_b = 0.1
[data]
batch = 3
[statistics]
preset = "lean"
[jacobian]
directions = "all"
[sweep]
network.block = ["residual", "highway", "rnn", "gru", "lstm"]
init.sigma_w = [0.8, 1.5]
"""

# What a sweep of each kind of block may have: every block of `gradflow list blocks` is in one of them.
ANY_BLOCK = """
[network]
depth = 7
width = 20
[init]
sigma_b = 0.1
[data]
batch = 40
[statistics]
preset = "full"
[sweep]
init.sigma_w = [0.7, 1.5]
"""

EVERY_BLOCK = {
    ("dense", "highway", "rnn", "gru", "lstm"): ANY_BLOCK + 'network.block = ["dense", "highway", "rnn", "gru", "lstm"]',
    ("leaky_rnn",): ANY_BLOCK + 'network.block = ["leaky_rnn"]\nnetwork.leak = [0.3, 0.9]',
    ("residual",): ANY_BLOCK + """
network.block = ["residual"]
network.skip_scale = [1.0, "deepnorm"]
network.normalization = ["none", { name = "layer", position = "pre" }, { name = "batch", position = "post" }]
""",
    ("preact_residual", "postact_residual"): ANY_BLOCK + """
network.block = ["preact_residual", "postact_residual"]
network.branch_layers = [1, 2]
network.branch_scale = ["1/sqrt(depth)"]
network.normalization = ["none", { name = "rms", position = "pre" }, { name = "layer", position = "post" }]
""",
}

# Levels on top of each other, cut in time and between levels; what comes in is a piece of the data for each step.
STACKED = """
[network]
depth = 7
width = 20
[init]
sigma_b = 0.1
[data]
batch = 40
[statistics]
preset = "full"
[sweep]
network.block = ["rnn", "gru", "lstm"]
network.input = ["zero", "data"]
network.stack = [2, 3]
init.sigma_w = [0.7, 2.5]
"""

# 10,000 steps of one level, or 5,000 of two.
LONG = """
[network]
width = 8
[data]
batch = 1
[init]
scheme = "orthogonal"
[statistics]
layers = "log:24"
[[zip]]
network.block = ["rnn", "rnn", "lstm"]
network.activation = ["linear", "linear", "tanh"]
network.depth = [10000, 10000, 5000]
network.stack = [1, 1, 2]
init.sigma_w = [0.5, 2, 0.5]
"""

# Ten thousand layers, beyond what a float64 can hold: what vanishes and what explodes, with every block and normalisation.
FAR = """
[network]
depth = 10000
width = 8
[init]
sigma_b = 0.1
[data]
batch = 4
[statistics]
layers = "every:100"
[sweep]
init.sigma_w = [0.3, 4]
"""

FAR_BLOCKS = [
    FAR + 'network.block = ["dense", "highway", "rnn", "gru", "lstm"]',
    FAR + 'network.block = ["leaky_rnn"]\nnetwork.leak = [0.5]',
    FAR + 'network.block = ["residual", "preact_residual", "postact_residual"]\nnetwork.activation = ["linear"]',
    FAR + 'network.block = ["dense"]\nnetwork.normalization = ["batch", "layer", "rms"]',
]

# Scales and shifts have gradients; batches of layer norm may be cut.
NORMALISED = """
[network]
depth = 6
width = 20
[init]
sigma_b = 0.2
[statistics]
preset = "full"
[data]
batch = 100
[sweep]
network.block = ["dense", "residual"]
network.normalization = ["batch", "layer", { name = "rms", position = "after", scale = 1.5, shift = -0.2 }]
run.precision = ["float32", "float64"]
"""

# 1700 layers are 13600 bytes of a statistic; from 4096 bytes for each stage the stages write themselves.
DEEP = """
[network]
depth = 1700
width = 8
[init]
sigma_b = 0.1
[sweep]
init.sigma_w = [0.9, 1.4]
data.batch = [1, 40]
"""

# A table of 30000 layers goes to the file in parts; half of them are below the size of a part.
VERY_DEEP = """
[network]
depth = 30000
width = 8
[init]
sigma_b = 0.1
[data]
batch = 1
[sweep]
init.sigma_w = [0.9, 1.4]
"""

LAYOUTS = {
    "ranks": [(n, "--stages", "1") for n in (2, 3, 4)],
    "stages": [(n, "--stages", str(n)) for n in (2, 3, 4)],
    "groups": [(4, "--stages", "2"), (5, "--stages", "2"), (3,)],
    "threads": [(1, "--threads", "2"), (None, "--threads", "3")],
    "schedules": [(3, "--stages", "3", "--microbatches", "2", "--schedule", s)
                  for s in ("gpipe", "1f1b", "zb_h1", "streamed_1f1b")],
    "bundles": [(None, "--bundle", "1"), (None, "--bundle", "3"), (2, "--bundle", "64"),
                (2, "--stages", "2", "--bundle", "4", "--microbatches", "2")],
    "microbatches": [(2, "--stages", "2", "--microbatches", m) for m in ("1", "2", "4")],
}


CHOICES = {
    "ranks": (None, 2, 3, 4),
    "--stages": (1, 2, 3, 4),
    "--threads": (1, 2, 3),
    "--schedule": ("gpipe", "1f1b", "zb_h1", "streamed_1f1b"),
    "--microbatches": (1, 2, 4),
    "--bundle": (1, 3, "auto"),
}


def every_pair_of_choices():
    """Few layouts in which every two choices that go together meet: the one of 200 random ones that has most new pairs."""
    chance = random.Random(7)
    pairs_of = lambda layout: set(itertools.combinations(layout.items(), 2))
    is_possible = lambda layout: layout["--stages"] <= (layout["ranks"] or 1)
    draw = lambda: {name: chance.choice(values) for name, values in CHOICES.items()}
    missing = set().union(*(pairs_of(dict(zip(CHOICES, values))) for values in itertools.product(*CHOICES.values())
                            if is_possible(dict(zip(CHOICES, values)))))
    while missing:
        layout = max(filter(is_possible, (draw() for _ in range(200))), key=lambda layout: len(pairs_of(layout) & missing))
        if not pairs_of(layout) & missing:
            continue
        missing -= pairs_of(layout)
        yield (layout["ranks"], *(str(word) for name, value in layout.items() if name != "ranks" for word in (name, value)))


class OneHash(program.InFolder):
    def reference(self, sweep):
        program.measure(sweep, "reference.h5", "--threads", "1")
        with h5py.File("reference.h5") as file:
            self.assertTrue((file["status"][()] == 1).all())
        return results.one_hash("reference.h5")

    def assert_same_bits(self, sweep, layouts):
        expected = self.reference(sweep)
        for number, (ranks, *options) in enumerate(layouts):
            output = f"{number}.h5"
            with self.subTest(ranks=ranks, options=options):
                program.measure(sweep, output, *options, ranks=ranks)
                if results.one_hash(output) != expected:
                    self.fail(f"these differ: {results.differences('reference.h5', output)}")

    def test_a_changed_bit_changes_the_hash(self):
        sweep = self.write("sweep.toml", SOME_LAYERS.replace("LAYERS", "log:8"))
        before = self.reference(sweep)

        with h5py.File("reference.h5", "r+") as file:
            bits = file["dgrad_log10_rms"][()].view(np.uint64)
            bits[0, 0] ^= np.uint64(1)
            file["dgrad_log10_rms"][...] = bits.view(np.float64)

        self.assertNotEqual(results.one_hash("reference.h5"), before)
        program.measure(sweep, "again.h5", "--threads", "1")
        self.assertEqual(results.differences("reference.h5", "again.h5"), ["dgrad_log10_rms"])

    def test_ranks_stages_and_groups(self):
        sweep = self.write("sweep.toml", MANY_SHAPES)
        self.assert_same_bits(sweep, LAYOUTS["ranks"] + LAYOUTS["stages"] + LAYOUTS["groups"])

    def test_every_pair_of_choices(self):
        layouts = list(every_pair_of_choices())
        self.assertLess(len(layouts), 30)
        self.assert_same_bits(self.write("sweep.toml", ANY_BLOCK + 'network.activation = ["tanh", "relu"]\ndata.batch = [40, 128]'),
                              layouts)

    def test_threads_schedules_and_microbatches(self):
        sweep = self.write("sweep.toml", MANY_SHAPES)
        self.assert_same_bits(sweep, LAYOUTS["threads"] + LAYOUTS["schedules"] + LAYOUTS["microbatches"])

    def test_bundles_of_points_with_equal_weights(self):
        sweep = self.write("sweep.toml", SHARED_WEIGHTS)
        self.assert_same_bits(sweep, LAYOUTS["bundles"])

    def test_bundles_of_many_shapes(self):
        sweep = self.write("sweep.toml", MANY_SHAPES)
        self.assert_same_bits(sweep, LAYOUTS["bundles"])

    def test_bundles_of_points_of_several_depths(self):
        sweep = self.write("sweep.toml", SEVERAL_DEPTHS.replace("LAYERS", "all"))
        self.assert_same_bits(sweep, [
            (None, "--bundle", "1"),
            (2, "--stages", "2", "--bundle", "16", "--microbatches", "4", "--schedule", "1f1b"),
            (3, "--stages", "3", "--bundle", "16", "--microbatches", "2", "--schedule", "zb_h1"),
            (4, "--stages", "2", "--bundle", "5"),
        ])

    def test_selected_layers_of_points_of_several_depths(self):
        for layers in ("every:5", "log:4"):
            with self.subTest(layers=layers):
                sweep = self.write("sweep.toml", SEVERAL_DEPTHS.replace("LAYERS", layers))
                self.assert_same_bits(sweep, [(2, "--stages", "2", "--bundle", "1")])
                for file in self.folder.glob("*.h5"):
                    file.unlink()

    def test_statistics_of_whole_batches(self):
        sweep = self.write("sweep.toml", WHOLE_BATCHES)
        self.assert_same_bits(sweep, LAYOUTS["stages"] + LAYOUTS["schedules"] + [(2, "--stages", "1", "--threads", "2")])

    def test_steps_in_time(self):
        sweep = self.write("sweep.toml", RECURRENT)
        self.assert_same_bits(sweep, [(2, "--stages", "2"), (3, "--stages", "3"), (None, "--bundle", "1")])

    def test_scales_that_data_decide(self):
        sweep = self.write("sweep.toml", SCALED_LAYERS)
        self.assert_same_bits(sweep, [
            (None, "--bundle", "1"), (2, "--stages", "2", "--microbatches", "3"),
            (3, "--stages", "3", "--bundle", "8", "--schedule", "zb_h1")])

    def test_a_last_layer_of_its_own_scale(self):
        sweep = self.write("sweep.toml", SMALLER_OUTPUT)
        self.assert_same_bits(sweep, [(None, "--bundle", "1"), (3, "--stages", "3", "--microbatches", "2")])

    def test_jacobians(self):
        sweep = self.write("sweep.toml", JACOBIANS)
        self.assert_same_bits(sweep, [
            (2, "--stages", "1"),
            (2, "--stages", "2", "--microbatches", "3", "--schedule", "zb_h1"),
            (3, "--stages", "3", "--bundle", "1"),
            (4, "--stages", "4", "--microbatches", "2", "--schedule", "1f1b"),
            (None, "--threads", "3", "--bundle", "16"),
        ])

    def test_jacobians_of_every_kind_of_block(self):
        sweep = self.write("sweep.toml", JACOBIANS_OF_BLOCKS)
        self.assert_same_bits(sweep, [(3, "--stages", "3"), (None, "--bundle", "1", "--threads", "2")])

    def test_every_kind_of_block(self):
        listed = re.findall(r"(?m)^  (\w+)", program.run("list", "blocks").stdout)
        self.assertEqual(sorted(block for blocks in EVERY_BLOCK for block in blocks), sorted(listed))
        for blocks, text in EVERY_BLOCK.items():
            with self.subTest(blocks=blocks):
                sweep = self.write("sweep.toml", text)
                self.assert_same_bits(sweep, [(2, "--stages", "2", "--microbatches", "2"), (3, "--stages", "3", "--threads", "2"),
                                              (4, "--stages", "2", "--bundle", "1")])
                for file in self.folder.glob("*.h5"):
                    file.unlink()

    def test_stacked_levels(self):
        sweep = self.write("sweep.toml", STACKED)
        self.assert_same_bits(sweep, [(2, "--stages", "2"), (3, "--stages", "3"), (4, "--stages", "4"),
                                      (None, "--bundle", "1", "--threads", "2")])

    def test_stacked_levels_of_a_sweep_that_grew(self):
        sweep = self.write("sweep.toml", STACKED)
        expected = self.reference(sweep)

        program.measure(sweep, "grown.h5", "--set", "init.sigma_w=[2.5]", ranks=2)
        last = program.measure(sweep, "grown.h5", "--stages", "3", ranks=3)

        self.assertIn("12 by this run", last.stderr)
        self.assertEqual(results.one_hash("grown.h5"), expected, results.differences("reference.h5", "grown.h5"))

    def test_ten_thousand_steps(self):
        """An orthogonal linear rnn loses, or wins, a factor of 2 at every step; levels on top of an lstm lose without end."""
        sweep = self.write("sweep.toml", LONG)
        self.assert_same_bits(sweep, [(2, "--stages", "2")])
        with h5py.File("reference.h5") as file:
            block, sigma_w = file["block"].asstr()[()], file["sigma_w"][()]
            start, size = file["row_start"][()], file["row_size"][()]
            for k, first in enumerate(start):
                rows = slice(first, first + size[k])
                gradient, layer = file["dgrad_log10_norm_mean"][rows], file["layer"][rows]
                self.assertTrue(np.isfinite(gradient).all())
                of_weights = file["wgrad_log10_norm"][rows]
                begins_at_zero = (block[k] == "lstm") & (layer == 2)  # the second level's first step: its h_0 is 0
                self.assertTrue(np.isfinite(of_weights[~begins_at_zero]).all())
                self.assertTrue((of_weights[begins_at_zero] == -np.inf).all())
                self.assertTrue(np.isfinite(file["tied_wgrad_log10_norm"][k, 0]))
                if block[k] == "rnn":  # rounding of float32, 1e-7 at every step
                    lost = (layer[-1] - layer) * np.log10(sigma_w[k])
                    np.testing.assert_allclose(gradient - gradient[-1], lost, atol=1e-3)
                else:
                    self.assertLess(gradient[0], gradient[-1] - 300)

    def test_ten_thousand_layers_of_every_kind(self):
        beyond = {}
        for text in FAR_BLOCKS:
            sweep = self.write("sweep.toml", text)
            self.assert_same_bits(sweep, [(2, "--stages", "2")])
            with xarray.open_dataset("reference.h5") as ds:
                for name in ds.data_vars:
                    if re.fullmatch(r"(\w+_)?(act|preact|dgrad|wgrad)_log10_(q|rms|norm|norm_mean)", name):
                        rows = ds[name].values.reshape(len(ds.status), -1)
                        absent = np.isnan(rows).all(axis=1)  # of blocks without this signal
                        self.assertTrue(np.isfinite(rows[~absent]).all(), name)
                kinds = [str(ds[key].values) if ds[key].ndim == 0 else ds[key].values for key in ("block", "normalization")]
                kinds = zip(*np.broadcast_arrays(*kinds, ds.status)[:2])
                for kind, gradient in zip(kinds, ds.dgrad_log10_norm_mean.values):
                    beyond[kind] = max(beyond.get(kind, 0), abs(gradient[0] - gradient[-1]))
            for file in self.folder.glob("*.h5"):
                file.unlink()
        blocks = re.findall(r"(?m)^  (\w+)", program.run("list", "blocks").stdout)
        normalizations = re.findall(r"(?m)^  (\w+)", program.run("list", "normalizations").stdout)
        self.assertEqual(set(beyond), {(block, "none") for block in blocks} | {("dense", n) for n in normalizations})
        self.assertGreater(min(beyond.values()), 308, beyond)

    def test_normalised_networks(self):
        sweep = self.write("sweep.toml", NORMALISED)
        self.assert_same_bits(sweep, [(2, "--stages", "2", "--microbatches", "2"), (3, "--stages", "3", "--microbatches", "4"),
                                      (None, "--bundle", "1", "--threads", "2")])
        with h5py.File("reference.h5") as file:
            for name in ("norm_scale_grad_log10_norm", "norm_shift_grad_log10_norm"):
                self.assertTrue(np.isfinite(file[name][:, :-1]).all(), name)
            in_front_of_batch_norm = (file["normalization"].asstr()[()] == "batch") & (file["block"].asstr()[()] == "dense")
            self.assertTrue((file["bgrad_log10_norm"][in_front_of_batch_norm, :-1] == -np.inf).all())
            self.assertTrue(np.isfinite(file["bgrad_log10_norm"][in_front_of_batch_norm, -1]).all())

    def test_unequal_widths_and_ragged_depths(self):
        sweep = self.write("sweep.toml", UNEQUAL_WIDTHS)
        self.assert_same_bits(sweep, [(2, "--stages", "2"), (4, "--stages", "4"), (3, "--stages", "2")])

    def test_rows_so_long_that_each_stage_writes_its_own(self):
        sweep = self.write("sweep.toml", DEEP)
        self.assert_same_bits(sweep, [(2, "--stages", "2"), (3, "--stages", "3"), (3, "--stages", "2")])

    def test_rows_that_are_written_in_parts(self):
        sweep = self.write("sweep.toml", VERY_DEEP)
        self.assert_same_bits(sweep, [(2, "--stages", "2"), (None, "--bundle", "1")])

    def test_selected_layers(self):
        for layers in ("every:10", "log:8"):
            with self.subTest(layers=layers):
                sweep = self.write("sweep.toml", SOME_LAYERS.replace("LAYERS", layers))
                self.assert_same_bits(sweep, [(2, "--stages", "2"), (4, "--stages", "4", "--microbatches", "2")])
                for file in self.folder.glob("*.h5"):
                    file.unlink()

    def test_a_selected_layer_says_what_it_says_among_all(self):
        some = self.write("some.toml", SOME_LAYERS.replace("LAYERS", "every:10"))
        every = self.write("every.toml", SOME_LAYERS.replace("LAYERS", "all"))

        program.measure(some, "some.h5", ranks=2)
        program.measure(every, "every.h5", ranks=2)

        with h5py.File("some.h5") as a, h5py.File("every.h5") as b:
            np.testing.assert_array_equal(a["layer"], [1, 11, 21, 31, 37])
            chosen = np.isin(b["layer"], a["layer"])
            for name, variable in a.items():
                if variable.ndim >= 2 and not results.is_run_fact(variable):
                    self.assertEqual(variable[()].tobytes(), b[name][()][:, chosen].tobytes(), name)

    def test_a_sweep_that_grew(self):
        sweep = self.write("sweep.toml", MANY_SHAPES)
        expected = self.reference(sweep)

        program.measure(sweep, "grown.h5", "--set", "data.batch=[1, 17]", ranks=2)
        last = program.measure(sweep, "grown.h5", ranks=3)

        self.assertIn("32 by this run", last.stderr)
        self.assertEqual(results.one_hash("grown.h5"), expected, results.differences("reference.h5", "grown.h5"))


if __name__ == "__main__":
    unittest.main()
