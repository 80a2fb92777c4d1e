"""Every kind of block, normalisation and loss against an independent implementation: PyTorch, float64, autograd.

The definitions stand in torch_networks.py and torch_statistics.py, which know gradflow's export and nothing else.
"""
import unittest

import h5py
import numpy as np

import program
import torch_networks
import torch_statistics

COMMON = """
[init]
sigma_w = 1.2
sigma_b = 0.3
[data]
batch = 6
[statistics]
preset = "full"
[run]
precision = "float64"
[network]
"""

LOSSES = '["random", "one_hot", "mse", "cross_entropy", "sum_of_squares"]'

EVERY_ACTIVATION = [f'"{name}"' for name in torch_networks.ACTIVATIONS] + ['{ name = "leaky_relu", slope = 0.3 }']

NORMALIZATIONS = """[
  { name = "batch", epsilon = 1e-3, scale = 1.5, shift = 0.2 }, { name = "batch", position = "after" },
  { name = "layer" }, { name = "layer", position = "after", scale = 0.7, shift = -0.4 },
  { name = "rms", epsilon = 0 }, { name = "rms", position = "after", scale = 2 }"""

SWEEPS = {
    "dense activations": f"depth = 4\nwidth = 7\n[sweep]\nnetwork.activation = [{', '.join(EVERY_ACTIVATION)}]\n",
    "dense losses": f'widths = [9, 5, 12, 6]\nactivation = "gelu"\n[sweep]\nbackward.source = {LOSSES}\n'
                    "backward.shared = [false, true]\n",
    "dense normalised": 'depth = 4\nwidth = 7\nactivation = "tanh"\n[sweep]\n'
                        f'network.normalization = {NORMALIZATIONS}]\nbackward.source = ["random", "mse"]\n',
    "residual": 'depth = 4\nwidth = 7\nbranch_scale = 0.5\n[[zip]]\nnetwork.branch_layers = [2, 1, 2, 1, 2]\n'
                'network.block = ["residual", "preact_residual", "preact_residual", "postact_residual", "postact_residual"]\n'
                '[sweep]\nnetwork.activation = ["tanh", "elu"]\nbackward.source = ["random", "mse"]\n',
    "residual normalised": 'depth = 3\nwidth = 7\nskip_scale = "deepnorm"\n[sweep]\n'
                           'network.block = ["residual", "preact_residual", "postact_residual"]\n'
                           f'network.normalization = {NORMALIZATIONS}, {{ name = "batch", position = "pre" }}, '
                           '{ name = "layer", position = "pre" }, { name = "rms", position = "post" }, '
                           '{ name = "layer", position = "post", scale = 1.3 }]\n',
    "highway": 'depth = 4\nwidth = 7\nblock = "highway"\n[sweep]\nnetwork.transform_bias = [-1, 0.5]\n'
               f'backward.source = {LOSSES}\n',
    "steps in time": 'depth = 5\nwidth = 7\n[sweep]\nnetwork.block = ["rnn", "gru", "lstm"]\n'
                     f'network.input = ["zero", "gaussian"]\nnetwork.activation = ["tanh", "softplus"]\n'
                     'backward.source = ["random", "mse", "cross_entropy"]\n',
    "leaky steps": 'depth = 5\nwidth = 7\nblock = "leaky_rnn"\n[sweep]\nnetwork.leak = [0.3, 1]\n'
                   'network.input = ["zero", "gaussian"]\n',
    "steps fed with data": 'depth = 4\nwidth = 7\ninput = "data"\n[sweep]\nnetwork.block = ["rnn", "gru", "lstm"]\n'
                           'backward.source = ["random", "mse"]\n',
    "stacked steps": 'depth = 4\nwidth = 7\nstack = 3\n[sweep]\nnetwork.block = ["rnn", "gru", "lstm"]\n'
                     'network.input = ["gaussian", "data"]\nbackward.source = ["random", "cross_entropy"]\n',
    "stacked leaky steps": 'depth = 4\nwidth = 7\nstack = 2\nblock = "leaky_rnn"\nleak = 0.3\ninput = "data"\n',
    "stacked lstm with chrono biases": 'depth = 4\nwidth = 7\nstack = 2\nblock = "lstm"\nt_max = 20\ninput = "gaussian"\n',
    "lstm without forgetting": 'depth = 5\nwidth = 7\nblock = "lstm"\nforget_gate = false\ninput = "gaussian"\n',
    "lstm with chrono biases": 'depth = 5\nwidth = 7\nblock = "lstm"\nt_max = 20\ninput = "gaussian"\n',
}

# What is true only up to rounding: gradients that are 0 by a law.
NOTHING = 1e-13


def stored(file, point):
    """Statistics of a point, [layer] or [layer][format], and those without layers."""
    return {name: variable[point] for name, variable in file.items()
            if variable.ndim >= 1 and variable.shape[0] == file["status"].shape[0] and variable.dtype == np.float64
            and not name.startswith(("theory", "effective")) and variable.attrs.get("run_fact", 0) != 1
            and "formula" in variable.attrs}


class AgainstTorch(program.InFolder):
    """1e-10 relative: of logarithms that is 1e-10 in the logarithm, of ratios about 1e-10 absolute."""

    def assert_close(self, name, got, expected):
        got, expected = np.asarray(got), np.asarray(expected)
        if name.endswith("bgrad_log10_norm"):  # that of a bias which batch norm takes out again is exactly 0
            is_nothing = np.isneginf(got)
            self.assertTrue((10.0 ** expected[is_nothing] < NOTHING).all(), name)
            got, expected = got[~is_nothing], expected[~is_nothing]
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=name)

    def compare(self, file, number):
        point = torch_networks.Point("point.h5")
        batch = len(point.arrays["data/input"])
        layers = torch_networks.forward(point)
        torch_networks.loss(point, layers[-1]).backward()
        computed = [torch_statistics.of_layer(layer, batch) for layer in layers]
        compared = 0
        for name, values in stored(file, number).items():
            if name == "tied_wgrad_log10_norm":
                levels = int(point["stack"])
                totals = [sum(layer.matrices[""][0].grad for layer in layers[level::levels]) / batch for level in range(levels)]
                self.assert_close(name, np.atleast_1d(values), [np.log10(total.norm()) for total in totals])
            elif all(name in layer for layer in computed):
                self.assert_close(name, values, np.array([layer[name] for layer in computed]))
            else:
                self.assertTrue(name.endswith("bgrad_log10_norm") or np.isnan(values).all(), f"{name} is not computed")
                continue
            compared += 1
        self.assertGreaterEqual(compared, 30)

    def compare_all(self, text):
        sweep = self.write("sweep.toml", COMMON + text)
        program.measure(sweep, "out.h5")
        with h5py.File("out.h5") as file:
            for number in range(len(file["status"])):
                with self.subTest(point=number):
                    exported = program.run("export", "out.h5", "--point", number, "-o", "point.h5", "--with-data")
                    self.assertEqual(exported.returncode, program.COMPLETE, exported.stderr)
                    self.compare(file, number)
                (self.folder / "point.h5").unlink(missing_ok=True)


for name, text in SWEEPS.items():
    setattr(AgainstTorch, f"test_{name.replace(' ', '_')}", lambda self, text=text: self.compare_all(text))


if __name__ == "__main__":
    unittest.main()
