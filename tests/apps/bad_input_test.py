"""The user's mistakes: one message from one rank that says what to write, exit 2, no hang, nothing written."""
import os
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

import program

GOOD = """
[network]
activation = "tanh"
width = 8
depth = 6
[data]
batch = 4
[init]
sigma_w = 1.5
[sweep]
seed = { range = [0, 4] }
"""

# What is changed in the good file (from, to), and what the message says.
MISTAKES_IN_THE_FILE = {
    "unknown key": ("depth = 6", "depht = 6", ["sweep.toml:5:", "network.depht", "did you mean network.depth"]),
    "unknown section": ("[data]", "[date]", ["sweep.toml:7:1", "date.batch", "did you mean data.batch"]),
    "unknown activation": ('"tanh"', '"tahn"', ["sweep.toml:3:14", 'unknown activation "tahn"', "linear relu", "mish"]),
    "unknown scheme": ("sigma_w = 1.5", 'scheme = "gausian"', ["init.scheme", "gausian", "gaussian uniform"]),
    "batch norm of one sample": ("depth = 6\n[data]\nbatch = 4", 'depth = 6\nnormalization = "batch"\n[data]\nbatch = 1',
                                 ["data.batch", "is 1", "mean and variance of a batch", "expected 2 or more"]),
    "batch norm of one sample in a later point": (
        "depth = 6\n[data]\nbatch = 4\n[init]\nsigma_w = 1.5\n[sweep]",
        'depth = 6\nnormalization = "batch"\n[init]\nsigma_w = 1.5\n[sweep]\ndata.batch = [4, 1]',
        ["data.batch", "is 1", "expected 2 or more"]),
    "unknown loss": ("[data]", '[backward]\nsource = "mean"\n[data]', ["backward.source", "mean", "random", "mse"]),
    "unknown block": ("width = 8", 'width = 8\nblock = "conv"', ["network.block", "conv", "dense"]),
    "a memory of less than two steps": ("width = 8", 'width = 8\nblock = "lstm"\nt_max = 1.5', ["network.t_max", "1.5", "2"]),
    "chrono biases and a forget bias": ("width = 8", 'width = 8\nblock = "lstm"\nt_max = 50\nforget_bias = 1',
                                        ["network.t_max", "network.forget_bias", "write either"]),
    "chrono biases without a forget gate": ("width = 8", 'width = 8\nblock = "lstm"\nt_max = 50\nforget_gate = false',
                                            ["network.t_max", "forget_gate = false"]),
    "forget gate of another block": ("width = 8", 'width = 8\nblock = "gru"\nforget_bias = 1',
                                     ["network.forget_bias", "gru", "no forget gate"]),
    "inputs of a block that is no step in time": ("width = 8", 'width = 8\ninput = "gaussian"',
                                                  ["network.input", "dense", "no inputs"]),
    "levels of a block that is no step in time": ("width = 8", 'width = 8\nstack = 2', ["network.stack", "dense", "no levels"]),
    "Jacobian of stacked levels": ("depth = 6", 'depth = 6\nblock = "rnn"\nstack = 2\n[jacobian]\ndirections = 2',
                                   ["jacobian.directions", "stacked levels", "network.stack"]),
    "a stack of none": ("width = 8", 'width = 8\nblock = "rnn"\nstack = 0', ["network.stack", "read 0"]),
    "a stack of too many layers": ("depth = 6", 'depth = 90000000\nblock = "rnn"\nstack = 2',
                                   ["network.stack", "180000000 layers", "at most 100000000"]),
    "width of no input from the data": ("width = 8", 'width = 8\nblock = "rnn"\ninput_width = 3',
                                        ["network.input_width", '"zero"', 'input = "data"']),
    "steps with too much data": ("depth = 6", 'depth = 90000000\nblock = "rnn"\ninput = "data"',
                                 ["network.input", "720000000 features", "90000000 steps of 8"]),
    "leak of another block": ("width = 8", 'width = 8\nblock = "rnn"\nleak = 0.5', ["network.leak", "rnn", "leaky_rnn"]),
    "leaky block without a leak": ("width = 8", 'width = 8\nblock = "leaky_rnn"', ["network.leak", "missing", "0 to 1"]),
    "normalization of a step in time": ("width = 8", 'width = 8\nblock = "rnn"\nnormalization = "layer"',
                                        ["network.normalization", "rnn", "does not normalise"]),
    "unknown preset": ("[data]", '[statistics]\npreset = "all"\n[data]', ["statistics.preset", "lean", "full"]),
    "unknown statistic": ("[data]", '[statistics]\nalso = ["act_efective_rank"]\n[data]',
                          ["sweep.toml:7:8", "statistics.also", "act_efective_rank", "did you mean act_effective_rank?",
                           "gradflow list statistics"]),
    "a statistic without a list": ("[data]", '[statistics]\nalso = "act_effective_rank"\n[data]',
                                   ["statistics.also", "list of texts"]),
    "a number among statistics": ("[data]", '[statistics]\nalso = ["act_corr", 3]\n[data]', ["statistics.also", "list of texts"]),
    "a statistic of another block": ("[data]", '[statistics]\nalso = ["cell_act_corr"]\n[data]',
                                     ["statistics.also", "no block of the sweep has", "cell_act_corr", "leave it out"]),
    "a loss scale that is no logarithm": ("[data]", "[statistics]\nloss_scale = 65536\n[data]",
                                          ["statistics.loss_scale", "65536", "10000"]),
    "several loss scales": ("[data]", "[statistics]\nloss_scale = [8, 16]\n[data]", ["statistics.loss_scale", "an integer"]),
    "a swept loss scale": ("[sweep]", "[sweep]\nstatistics.loss_scale = [8, 16]", ["statistics.loss_scale"]),
    "a grid of one sample": ("batch = 4", 'batch = 1\nsource = "grid"', ["data.source", "two ends", "at least 2"]),
    "a grid of no length": ("batch = 4", 'batch = 4\nsource = { name = "grid", range = 0 }',
                            ["data.source", "range = 0", "more than 0"]),
    "unknown parameter of a grid": ("batch = 4", 'batch = 4\nsource = { name = "grid", step = 1 }', ['"step"', "offset range"]),
    "unknown layers": ("[data]", '[statistics]\nlayers = "10"\n[data]', ["statistics.layers", "every:10"]),
    "parameter of an activation that has none": ('"tanh"', '{ name = "tanh", slope = 0.1 }',
                                                 ["sweep.toml:3:14", 'activation "tanh" has no parameter "slope"', "none"]),
    "unknown parameter of an activation": ('"tanh"', '{ name = "leaky_relu", slop = 0.1 }', ['parameter "slop"', "has: slope"]),
    "text for a parameter": ('"tanh"', '{ name = "elu", alpha = "one" }', ["network.activation", "alpha", "a number"]),
    "parameter of a block": ("width = 8", 'width = 8\nblock = { name = "dense", gates = 2 }', ["network.block", '"gates"', "none"]),
    "parameter of a normalization": ("width = 8", 'width = 8\nnormalization = { name = "none", epsilon = 0.1 }',
                                     ["network.normalization", '"epsilon"', "none"]),
    "parameter of a scheme": ("sigma_w = 1.5", 'scheme = { name = "he_normal", gain = 3.0 }', ["init.scheme", '"gain"', "none"]),
    "critical without a critical point": ("sigma_w = 1.5", 'scheme = "critical"\n[sweep.network]\nactivation = ["tanh", "softplus"]',
                                          ["init.scheme", "softplus has no critical sigma_w at sigma_b = 0"]),
    "critical beside sigma_w": ("sigma_w = 1.5", 'sigma_w = 1.5\nscheme = "critical"', ["init.scheme", "leave sigma_w out"]),
    "scales of layers that share their weights": ("sigma_w = 1.5", 'scheme = "lsuv"\n[sweep.network]\nblock = ["dense", "rnn"]',
                                                  ["init.scheme", "lsuv", "rnn block share", "orthogonal"]),
    "lsuv beside sigma_w": ("sigma_w = 1.5", 'sigma_w = 1.5\nscheme = "lsuv"', ["init.scheme", "lsuv", "leave sigma_w out"]),
    "mup without an output layer": ("sigma_w = 1.5", 'scheme = "mup"\n[sweep.network]\nblock = ["dense", "residual"]',
                                    ["init.scheme", "mup", "residual block is no output layer"]),
    "random walk of tanh": ("sigma_w = 1.5", 'scheme = "random_walk"', ["init.scheme", "linear, relu and leaky_relu"]),
    "half a nonzero": ("sigma_w = 1.5", 'scheme = { name = "sparse", nonzeros = 2.5 }', ["init.scheme", "2.5", "integer"]),
    "no such number of directions": ("[data]", "[jacobian]\ndirections = 0\n[data]", ["jacobian.directions", "read 0", "1"]),
    "directions in words": ("[data]", '[jacobian]\ndirections = "every"\n[data]', ["jacobian.directions", "every", '"all"']),
    "more directions than units": ("[data]", "[jacobian]\ndirections = 9\n[data]",
                                   ["sweep.toml:7:", "jacobian.directions", "read 9", "at most 8"]),
    "more directions than units of the last point": ("[sweep]", "[jacobian]\ndirections = 8\n[sweep]\nnetwork.width = [8, 10, 7]",
                                                     ["jacobian.directions", "read 8", "at most 7"]),
    "Jacobian without a factor": ("[data]", '[jacobian]\ndirections = "all"\nfrom = 4\nto = 4\n[data]',
                                  ["sweep.toml:8:", "jacobian.from", "from layer 4 to layer 4"]),
    "Jacobian against the direction of the network": ("[data]", '[jacobian]\ndirections = "all"\nfrom = 6\n[data]',
                                                      ["jacobian.from", '"last" is 6']),
    "Jacobian beyond the last layer": ("[data]", '[jacobian]\ndirections = "all"\nto = 7\n[data]',
                                       ["jacobian.to", "read 7", "6 layers"]),
    "Jacobian without directions": ("[data]", "[jacobian]\nfrom = 2\n[data]", ["jacobian.from", "jacobian.directions", '"all"']),
    "Jacobian of coupled samples": ("[data]", 'normalization = "batch"\n[jacobian]\ndirections = 2\n[data]',
                                    ["jacobian.directions", "batch normalization"]),
    "parameter of a data source": ("batch = 4", 'batch = 4\nsource = { name = "gaussian", mean = 5 }',
                                   ["data.source", '"mean"', "none"]),
    "parameter of a loss": ("[data]", '[backward]\nsource = { name = "mse", weight = 2 }\n[data]',
                            ["backward.source", '"weight"', "none"]),
    "text for a number": ("depth = 6", 'depth = "6"', ["sweep.toml:5:9", "network.depth", '"6"', "integer"]),
    "real for an integer": ("depth = 6", "depth = 6.5", ["network.depth", "6.5", "integer"]),
    "number for a name": ('"tanh"', "3", ["network.activation", "3"]),
    "negative depth": ("depth = 6", "depth = -6", ["sweep.toml:5:9", "network.depth", "-6", "1"]),
    "depth of 0": ("depth = 6", "depth = 0", ["network.depth", "read 0"]),
    "width of 0": ("width = 8", "width = 0", ["network.width", "read 0"]),
    "batch of 0": ("batch = 4", "batch = 0", ["sweep.toml:7:9", "data.batch", "read 0"]),
    "no depth": ("depth = 6\n", "", ["network.depth", "missing"]),
    "depth beside widths": ("width = 8", "widths = [8, 8]", ["network.depth", "network.widths"]),
    "depth too large for its type": ("depth = 6", "depth = 3000000000", ["network.depth", "3000000000"]),
    "integer beyond 64 bits": ("depth = 6", "depth = 99999999999999999999", ["sweep.toml:5:"]),
    "seed too large for its type": ("{ range = [0, 4] }", '["99999999999999999999"]', ["seed"]),
    "real too large for its type": ("sigma_w = 1.5", "sigma_w = 1e999", ["sweep.toml:9:", "1e999"]),
    "negative sigma_w": ("sigma_w = 1.5", "sigma_w = -1.5", ["sweep.toml:9:11", "init.sigma_w", "-1.5"]),
    "sigma_w is NaN": ("sigma_w = 1.5", "sigma_w = nan", ["sweep.toml:9:11", "init.sigma_w", "nan"]),
    "sigma_w with he_normal": ("sigma_w = 1.5", 'sigma_w = 1.5\nscheme = "he_normal"', ["he_normal", "sigma_w", "leave"]),
    "empty axis": ("{ range = [0, 4] }", "[]", ["sweep.toml:11:8", "seed", "empty"]),
    "empty range": ("{ range = [0, 4] }", "{ range = [4, 4] }", ["sweep.toml:11:", "seed", "empty"]),
    "one value twice": ("{ range = [0, 4] }", "[1, 1]", ["seed"]),
    "unknown generator": ("{ range = [0, 4] }", "{ rnage = [0, 4] }", ["seed"]),
    "zip of unequal lengths": ("[sweep]", "[[zip]]\ninit.sigma_b = [0, 1]\ndata.batch = [1, 2, 3]\n[sweep]",
                               ["sweep.toml:12:", "data.batch", "init.sigma_b", "2", "3"]),
    "TOML syntax": ("depth = 6", "depth = = 6", ["sweep.toml:5:9", "TOML syntax error"]),
    "TOML that does not end": ("seed = { range = [0, 4] }", "seed = { range = [0, 4]", ["sweep.toml:11:"]),
    "more points than one run takes": ("seed = { range = [0, 4] }",
                                       "seed = { range = [0, 100000] }\ninit.sigma_b = { linspace = [1, 2, 100000] }",
                                       ["10000000000 points", "100000000"]),
}

MISTAKES_ON_THE_COMMAND_LINE = {
    "unknown schedule": (["--schedule", "1f2b"], ["1f2b", "gpipe 1f1b zb_h1 streamed_1f1b"]),
    "stages is no number": (["--stages", "two"], ["--stages", "two", "auto"]),
    "stages of 0": (["--stages", "0"], ["--stages", "0", "auto"]),
    "a bundle of nothing": (["--bundle", "0"], ["--bundle", '"0"', "a number from 1 or auto"]),
    "negative microbatches": (["--microbatches", "-1"], ["--microbatches", "-1"]),
    "threads of 0": (["--threads", "0"], ["--threads", "0"]),
    "more stages than ranks": (["--stages", "5"], ["--stages 5", "mpirun -n 5"]),
    "time without a unit": (["--max-time", "90"], ["--max-time", '"90"', "3h50m"]),
    "no time": (["--max-time", ""], ["--max-time", "3h50m"]),
    "a time of too many digits": (["--max-time", "9" * 400 + "h"], ["--max-time", "999...", "3h50m"]),
    "more threads than can be of use": (["--threads", "100000"], ["--threads 100000", "four for each CPU"]),
    "unknown option": (["--stage", "2"], ["--stage"]),
    "trace in a folder that is not there": (["--trace", "no/trace.json"], ["--trace no/trace.json", "such as trace.json"]),
    "trace over another file": (["--trace", "sweep.toml"], ["--trace sweep.toml", ".json"]),
    "trace without a name": (["--trace", ""], ["--trace", "such as trace.json"]),
    "unknown key": (["--set", "network.depht=3"], ["--set network.depht=3", "did you mean network.depth"]),
    "no value": (["--set", "network.depth"], ["--set network.depth", "key=value"]),
    "a value of another type": (["--set", "network.depth=deep"], ["--set network.depth=deep"]),
    "a file larger than the free space": (["--set", "network.depth=100000", "--set", "seed={range=[0,1000000]}"],
                                          ["out.h5 would take", "GiB", "room for"]),
}

OUTPUTS_THAT_CANNOT_BE_WRITTEN = {
    "a folder that is not there": "nowhere/out.h5",
    "a folder that takes no files": "/proc/out.h5",
    "a file in place of the folder": "sweep.toml/out.h5",
    "a folder in place of the file": ".",
    "no name": "",
    "a name of 300 characters": "x" * 300,
}


def contents_of(folder):
    """What the user has. MPI's own session files live in a folder beside them."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Case(NamedTuple):
    """A run that is to be refused, and what its message says."""
    name: str
    expected: list
    sweep: str = GOOD
    options: tuple = ()
    ranks: int = None


def in_the_file(name, ranks=None):
    good, bad, expected = MISTAKES_IN_THE_FILE[name]
    assert GOOD.count(good) == 1, name
    return Case(name, expected, sweep=GOOD.replace(good, bad), ranks=ranks)


def on_the_command_line(name, ranks=None):
    options, expected = MISTAKES_ON_THE_COMMAND_LINE[name]
    return Case(name, expected, options=options, ranks=ranks)


class BadInput(program.InFolder):
    def assert_is_refusal(self, ended, expected):
        self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
        self.assertTrue(ended.stderr.startswith("gradflow: "), ended.stderr)
        self.assertEqual(ended.stderr.count("gradflow: "), 1, ended.stderr)
        self.assertEqual(ended.stdout, "")
        for text in expected:
            self.assertIn(text, ended.stderr)

    def assert_refused(self, expected, *arguments, ranks=None):
        before = contents_of(self.folder)
        ended = program.run(*arguments, ranks=ranks)
        self.assert_is_refusal(ended, expected)
        self.assertEqual(contents_of(self.folder), before)

    def assert_all_refused(self, cases):
        """Some at a time, because a start of MPI is mostly waiting; each in a folder of its own, MPI's session too: Open MPI
        removes the session folder of its host when a job ends, whether or not another is just beginning."""
        def run(case):
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            (folder / "sweep.toml").write_text(case.sweep)
            ended = program.run("run", "sweep.toml", "-o", "out.h5", *case.options, ranks=case.ranks, cwd=folder,
                                env=os.environ | {"TMPDIR": str(folder)})
            return ended, contents_of(folder)

        with ThreadPoolExecutor(4) as pool:
            outcomes = pool.map(run, cases)
        for case, (ended, contents) in zip(cases, outcomes):
            with self.subTest(case.name, ranks=case.ranks):
                self.assert_is_refusal(ended, case.expected)
                self.assertEqual(list(contents), ["sweep.toml"])

    def test_mistakes_in_the_file(self):
        self.assert_all_refused([in_the_file(name) for name in MISTAKES_IN_THE_FILE])

    def test_mistakes_in_the_file_under_mpirun(self):
        names = ["unknown key", "unknown activation", "TOML syntax", "sigma_w with he_normal", "empty axis"]
        self.assert_all_refused([in_the_file(name, ranks=2) for name in names])

    def test_mistakes_on_the_command_line(self):
        self.assert_all_refused([on_the_command_line(name) for name in MISTAKES_ON_THE_COMMAND_LINE])

    def test_mistakes_on_the_command_line_under_mpirun(self):
        names = ["unknown schedule", "unknown option", "trace over another file", "a file larger than the free space"]
        self.assert_all_refused([on_the_command_line(name, ranks=3) for name in names])

    def test_missing_sweep_file(self):
        for ranks in (None, 2):
            with self.subTest(ranks=ranks):
                self.assert_refused(["nowhere.toml", "No such file"], "run", "nowhere.toml", "-o", "out.h5", ranks=ranks)

    def test_missing_command_or_argument(self):
        for arguments, expected in {("rnu", "sweep.toml"): ["rnu", "choose one of: plan run", "export list", "check"], (): ["subcommand"],
                                    ("run",): ["SWEEP.toml"], ("run", "sweep.toml"): ["--output"],
                                    ("list", "activation"): ["activations"],
                                    ("show", "nowhere.h5"): ["nowhere.h5"], ("plan", "nowhere.toml"): ["nowhere.toml"],
                                    ("check", "nowhere"): ["nowhere", "folder"],
                                    ("report", "nowhere.h5", "-o", "r.html"): ["nowhere.h5"]}.items():
            with self.subTest(arguments):
                self.assert_refused(expected, *arguments)

    def test_output_that_cannot_be_written(self):
        self.write("sweep.toml", GOOD)
        for name, output in OUTPUTS_THAT_CANNOT_BE_WRITTEN.items():
            with self.subTest(name):
                self.assert_refused([output or "--output"], "run", "sweep.toml", "-o", output)
        for output in ("nowhere/out.h5", "x" * 300):
            self.assert_refused([output], "run", "sweep.toml", "-o", output, ranks=2)

    def test_rehearsal_variable_that_is_no_number(self):
        self.write("sweep.toml", GOOD)
        for ranks in (None, 2):
            with self.subTest(ranks=ranks):
                ended = program.run("run", "sweep.toml", "-o", "out.h5", ranks=ranks, timeout=60,
                                    env=os.environ | {"GRADFLOW_SYNCHRONOUS_SENDS": "abc"})
                self.assert_is_refusal(ended, ["GRADFLOW_SYNCHRONOUS_SENDS=abc", "GRADFLOW_SYNCHRONOUS_SENDS=0"])
                self.assertFalse((self.folder / "out.h5").exists())

    def test_output_that_is_not_ours(self):
        self.write("sweep.toml", GOOD)
        self.write("text.h5", "my notes")
        with h5py.File("other.h5", "w") as file:
            file["mine"] = [1, 2, 3]
        (self.folder / "empty.h5").touch()
        for output, ranks in (("text.h5", None), ("other.h5", None), ("empty.h5", None), ("other.h5", 2)):
            with self.subTest(output, ranks=ranks):
                self.assert_refused([output, "is not a gradflow result file"], "run", "sweep.toml", "-o", output, ranks=ranks)

    def test_output_of_another_sweep(self):
        self.write("sweep.toml", GOOD)
        self.write("other.toml", GOOD.replace("depth = 6", "depth = 7"))
        program.measure("sweep.toml", "out.h5")
        for ranks in (None, 2):
            with self.subTest(ranks=ranks):
                self.assert_refused(["out.h5 belongs to another sweep", "point 0"], "run", "other.toml", "-o", "out.h5",
                                    ranks=ranks)

    def test_output_with_other_statistics(self):
        self.write("sweep.toml", GOOD)
        self.write("other.toml", GOOD + '[statistics]\nlayers = "every:2"\n')
        program.measure("sweep.toml", "out.h5")

        self.assert_refused(["out.h5", "layers"], "run", "other.toml", "-o", "out.h5")

    def test_output_under_other_numerics(self):
        self.write("sweep.toml", GOOD)
        program.measure("sweep.toml", "out.h5")
        with h5py.File("out.h5", "r+") as file:
            identity = file.attrs["numerics_identity"]
            file.attrs["numerics_identity"] = np.bytes_(identity.replace(b"OpenBLAS", b"OtherBLAS"))
        self.write("more.toml", GOOD.replace("[0, 4]", "[0, 5]"))

        self.assert_refused(["out.h5", "arithmetic", "OtherBLAS", "--allow-mixed-numerics"], "run", "more.toml", "-o", "out.h5")
        self.assertIn("1 by this run", program.measure("more.toml", "out.h5", "--allow-mixed-numerics").stderr)

    def test_more_stages_than_layers(self):
        self.write("sweep.toml", GOOD.replace("depth = 6\n", "").replace("[sweep]", "[sweep]\nnetwork.depth = [6, 2]"))
        self.assert_refused(["--stages 3", "point 4 (depth = 2)"], "run", "sweep.toml", "-o", "out.h5", "--stages", "3",
                            ranks=3)

    def test_second_writer(self):
        self.write("sweep.toml", GOOD.replace("[0, 4]", "[0, 100000]"))
        first = program.start("run", "sweep.toml", "-o", "out.h5", ranks=2)
        try:
            self.assertTrue(program.wait_until((self.folder / "out.h5").exists, 30))
            for ranks in (None, 2):
                second = program.run("run", "sweep.toml", "-o", "out.h5", ranks=ranks)
                self.assertEqual(second.returncode, program.MISTAKE, second.stderr)
                self.assertEqual(second.stderr.count("gradflow: "), 1, second.stderr)
                self.assertIn("out.h5 is being written by another run", second.stderr)
                self.assertRegex(second.stderr, r"process \d+")
            self.assertIsNone(first.poll(), "the first run goes on")
        finally:
            program.kill(first)


if __name__ == "__main__":
    unittest.main()
