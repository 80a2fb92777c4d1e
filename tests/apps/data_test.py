"""Networks that are fed from files, begin with stored weights, and end in every loss."""
import gzip
import struct
import unittest

import h5py
import numpy as np

import program
import results

RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.integers(0, 256, (100, 6, 9), dtype=np.uint8)
LABELS = RANDOM.integers(0, 10, 100, dtype=np.uint8)

SOURCES = """[
  "gaussian", "orthogonal", { name = "correlated", c_0 = 0.9 }, "circle", "zero",
  { name = "idx", images = "files/images.idx", labels = "files/labels.idx" },
  { name = "idx", images = "files/images.idx.gz", standardize = "feature" },
  { name = "cifar10", path = "files/cifar.bin", standardize = "global" },
  { name = "hdf5", path = "files/data.h5", dataset = "x", labels = "y", standardize = "sample" }]"""

EVERY_SOURCE_AND_LOSS = f"""
[network]
depth = 5
width = 54
[init]
sigma_b = 0.1
[data]
batch = 40
[statistics]
preset = "full"
[sweep]
data.source = {SOURCES}
backward.source = ["random", "one_hot", "mse", "cross_entropy", "sum_of_squares"]
"""

LAYOUTS = [(2, "--stages", "2", "--microbatches", "2"), (3,), (None, "--threads", "3", "--bundle", "1")]

GOOD = """
[network]
width = 12
depth = 3
[data]
source = { name = "idx", images = "files/images.idx", labels = "files/labels.idx" }
batch = 4
[backward]
source = "cross_entropy"
"""

IDX = '{ name = "idx", images = "files/images.idx", labels = "files/labels.idx" }'
WITH_WEIGHTS = 'depth = 3\n[init]\nscheme = { name = "file", path = "files/PATH" }'
SIZES = "width = 12\ndepth = 3"
IN_BLOCK = '[init]\nscheme = { name = "file", path = "files/PATH" }'

# What is changed in the good file (from, to), and what the message says.
MISTAKES = {
    "missing file": ("images.idx", "image.idx", ["sweep.toml:6:", "data.source", "files/image.idx", "No such file"]),
    "wrong magic": ("images.idx", "data.h5", ["data.h5", "89 48 44 46", "expected an IDX file"]),
    "truncated": ("images.idx", "short.idx", ["short.idx", "truncated"]),
    "truncated gzip": ("images.idx", "short.idx.gz", ["short.idx.gz", "truncated"]),
    "labels of other samples": ("labels.idx", "few.idx", ["few.idx", "[10]", "100 images"]),
    "labels outside the classes": ("width = 12", "width = 9", ["data.source", "label 9", "9 units"]),
    "batch larger than the data": ("batch = 4", "batch = 101", ["100 samples", "data.batch = 101"]),
    "input of another width": ("width = 12\ndepth = 3", "widths = [50, 12, 12]",
                               ["network.widths", "50 units", "54 features"]),
    "steps that do not divide a sample": ("depth = 3", 'depth = 4\nblock = "rnn"\ninput = "data"',
                                          ["network.depth", "54 features", "not 4 equal pieces"]),
    "steps of another width": ("depth = 3", 'depth = 3\nblock = "rnn"\ninput = "data"\ninput_width = 20',
                               ["network.input_width", "is 20", "3 steps of 18", "write 18"]),
    "no images": ('images = "files/images.idx", ', "", ["names no file", 'images = "..."']),
    "unknown parameter": ("images =", "image =", ['no parameter "image"', "images labels standardize"]),
    "unknown standardization": ('"idx",', '"idx", standardize = "zscore",', ["zscore", "none global feature sample"]),
    "no dataset": (IDX, '{ name = "hdf5", path = "files/data.h5", dataset = "z" }', ['no dataset "z"', "x y"]),
    "no HDF5 file": (IDX, '{ name = "hdf5", path = "files/images.idx", dataset = "x" }', ["is not an HDF5 file"]),
    "CIFAR of another length": (IDX, '{ name = "cifar10", path = "files/images.idx" }', ["records of 3073 bytes"]),
    "too many orthogonal samples": (IDX + "\nbatch = 4", '"orthogonal"\nbatch = 13', ["13 orthogonal samples", "at most 12"]),
    "c_0 that is no cosine": (IDX, '{ name = "correlated", c_0 = 2 }', ["c_0 = 2", "from -1 to 1"]),
    "no weights": ("depth = 3", WITH_WEIGHTS.replace("PATH", "none.h5"), ["init.scheme", "none.h5", "No such file"]),
    "weights of another depth": ("depth = 3", WITH_WEIGHTS.replace("PATH", "weights.h5"),
                                 ["init.scheme", "2 layers", "the network has 3", "leave out"]),
    "weights without a second matrix": (SIZES, 'block = "residual"\n' + IN_BLOCK.replace("PATH", "square.h5"),
                                        ["init.scheme", "no layer_1/second_weight", "residual block have: weight second_weight"]),
    "weights with a matrix too many": (SIZES, 'block = "preact_residual"\n' + IN_BLOCK.replace("PATH", "two.h5"),
                                       ["init.scheme", "layer_1/second_weight", "preact_residual block have only: weight"]),
    "weights of other gates": (SIZES, 'depth = 3\nblock = "lstm"\n' + IN_BLOCK.replace("PATH", "gates.h5"),
                               ["layer_1/weight has the shape [162][54]", "[216][54], 4 gates below one another"]),
    "weights of several steps": (SIZES, 'depth = 3\nblock = "rnn"\n' + IN_BLOCK.replace("PATH", "square.h5"),
                                 ["2 layers", "the network has 1, the weights of every step"]),
    "an input matrix with a bias": (SIZES, 'depth = 3\nblock = "rnn"\ninput = "gaussian"\n' + IN_BLOCK.replace("PATH", "input.h5"),
                                    ["layer_1/input_bias", "rnn block has no bias"]),
    "unit weights of other weights": (SIZES, IN_BLOCK.replace("PATH", "unit.h5"),
                                      ["layer_1/weight is not the attribute scale times layer_1/unit_weight"]),
    "Keras layers that are not dense": (SIZES, IN_BLOCK.replace("PATH", "conv.h5"),
                                        ['layer "conv2d"', "expected dense layers only"]),
    "sigma_w beside weights": ("depth = 3", WITH_WEIGHTS.replace("PATH", "weights.h5") + "\nsigma_w = 2",
                               ['"file" fixes', "leave sigma_w out"]),
}


def idx(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


NETWORK_OF_BLOCKS = """
[data]
batch = 5
[statistics]
preset = "full"
[run]
precision = "float64"
[network]
depth = 3
block = """

# Depth and width are the file's; steps in time have one layer in it, so the sweep says how many.
BLOCKS = ['"residual"', '"preact_residual"\nbranch_scale = 0.5', '"postact_residual"\nbranch_layers = 2', '"highway"',
          '"rnn"\ninput = "gaussian"', '"leaky_rnn"\nleak = 0.3', '"gru"\ninput = "gaussian"', '"lstm"\nt_max = 9']


class WithFiles(program.InFolder):
    def setUp(self):
        super().setUp()
        files = self.folder / "files"
        files.mkdir()
        (files / "images.idx").write_bytes(idx(IMAGES))
        (files / "images.idx.gz").write_bytes(gzip.compress(idx(IMAGES)))
        (files / "short.idx").write_bytes(idx(IMAGES)[:-1])
        (files / "short.idx.gz").write_bytes(gzip.compress(idx(IMAGES))[:-100])
        (files / "labels.idx").write_bytes(idx(LABELS))
        (files / "few.idx").write_bytes(idx(LABELS[:10]))
        records = RANDOM.integers(0, 256, (50, 3073), dtype=np.uint8)
        records[:, 0] = LABELS[:50]
        (files / "cifar.bin").write_bytes(records.tobytes())
        with h5py.File(files / "data.h5", "w") as file:
            file.create_dataset("x", data=IMAGES / 255, compression="gzip")
            file["y"] = LABELS.astype(np.int32)
        with h5py.File(files / "weights.h5", "w") as file:
            file["layer_1/weight"] = RANDOM.normal(size=(12, 54))
            file["layer_2/weight"] = RANDOM.normal(size=(12, 12))
        self.write_weights("square.h5", {"layer_1/weight": (54, 54), "layer_2/weight": (54, 54)})
        self.write_weights("two.h5", {"layer_1/weight": (54, 54), "layer_1/second_weight": (54, 54)})
        self.write_weights("gates.h5", {"layer_1/weight": (162, 54)})
        self.write_weights("input.h5", {"layer_1/weight": (54, 54), "layer_1/input_weight": (54, 54), "layer_1/input_bias": (54,)})
        self.write_weights("unit.h5", {"layer_1/weight": (12, 54), "layer_1/unit_weight": (12, 54)})
        self.write_weights("conv.h5", {"layers/conv2d/vars/0": (3, 3, 1, 4), "layers/dense/vars/0": (54, 12)})

    def write_weights(self, name, shapes):
        with h5py.File(self.folder / "files" / name, "w") as file:
            for matrix, shape in shapes.items():
                file[matrix] = RANDOM.normal(size=shape)


class Identity(WithFiles):
    def test_every_source_and_loss_has_the_same_bits_on_any_layout(self):
        sweep = self.write("sweep.toml", EVERY_SOURCE_AND_LOSS)
        program.measure(sweep, "reference.h5", "--threads", "1")
        with h5py.File("reference.h5") as file:
            self.assertTrue((file["status"][()] == 1).all())
            self.assertEqual(len(np.unique(file["checksum"][()])), 45)
        for number, (ranks, *options) in enumerate(LAYOUTS):
            with self.subTest(ranks=ranks, options=options):
                program.measure(sweep, f"{number}.h5", *options, ranks=ranks)
                self.assertEqual(results.differences("reference.h5", f"{number}.h5"), [])

    def test_steps_fed_from_every_source_have_the_same_bits_on_any_layout(self):
        text = EVERY_SOURCE_AND_LOSS.replace("depth = 5\nwidth = 54", 'depth = 6\nwidth = 12\nblock = "gru"\ninput = "data"')
        sweep = self.write("sweep.toml", text.replace('["random", "one_hot", "mse", "cross_entropy", "sum_of_squares"]',
                                                      '["random", "cross_entropy"]'))
        program.measure(sweep, "reference.h5", "--threads", "1")
        with h5py.File("reference.h5") as file:
            self.assertTrue((file["status"][()] == 1).all())
            self.assertEqual(len(np.unique(file["checksum"][()])), 18)
        for number, (ranks, *options) in enumerate([(2, "--stages", "2"), (3, "--stages", "3", "--bundle", "1")]):
            with self.subTest(ranks=ranks, options=options):
                program.measure(sweep, f"{number}.h5", *options, ranks=ranks)
                self.assertEqual(results.differences("reference.h5", f"{number}.h5"), [])

    def test_each_step_takes_in_its_row_of_the_image(self):
        """W and W_x are the identity and phi is linear: the state is the sum of the rows so far."""
        sweep = self.write("sweep.toml", """
            network = { block = "rnn", activation = "linear", depth = 6, width = 9, input = "data" }
            init.scheme = "identity"
            data = { source = { name = "idx", images = "files/images.idx" }, batch = 100 }
            run.precision = "float64" """)
        program.measure(sweep, "out.h5")
        sums = np.cumsum(IMAGES / 255, axis=1)
        with h5py.File("out.h5") as file:  # pixels are stored as float32
            np.testing.assert_allclose(file["act_log10_q"][0], np.log10(np.mean(sums**2, axis=(0, 2))), atol=1e-6)

    def test_the_same_samples_in_three_forms_give_the_same_statistics(self):
        sweep = self.write("sweep.toml", EVERY_SOURCE_AND_LOSS.replace(SOURCES, """[
            { name = "idx", images = "files/images.idx", labels = "files/labels.idx" },
            { name = "idx", images = "files/images.idx.gz", labels = "files/labels.idx" },
            { name = "hdf5", path = "files/data.h5", dataset = "x", labels = "y" }]"""))
        program.measure(sweep, "out.h5")
        with h5py.File("out.h5") as file:
            q = file["dgrad_log10_rms"][()].reshape(3, 5, 5)
            self.assertEqual(q[0].tobytes(), q[1].tobytes())
            self.assertEqual(q[0].tobytes(), q[2].tobytes())
            self.assertEqual(file["data_source_path"][-1], b"files/data.h5")


class StoredWeights(WithFiles):
    SWEEP = """
[network]
depth = 5
activation = "relu"
[init]
sigma_b = 0.2
[statistics]
preset = "full"
[sweep]
network.width = [20, 70]
init.scheme = ["gaussian", "orthogonal", "he_normal"]
run.precision = ["float32", "float64"]
"""

    def statistics(self, file, point):
        """Everything but what theory knows of a scheme."""
        known = ("theory", "effective")
        with h5py.File(file) as f:
            return {name: v[point] for name, v in f.items()
                    if v.ndim >= 2 and v.dtype == np.float64 and not name.startswith(known)}

    def test_a_run_from_exported_weights_has_the_bits_of_the_point(self):
        sweep = self.write("sweep.toml", self.SWEEP)
        program.measure(sweep, "out.h5")
        for point in (0, 1, 3, 8, 9, 11):
            with self.subTest(point=point):
                precision = ["float32", "float64"][point % 2]
                source = sweep if point < 6 else "out.h5"
                exported = program.run("export", source, "--point", point, "-o", f"{point}.h5")
                self.assertEqual(exported.returncode, program.COMPLETE, exported.stderr)
                again = self.write("again.toml", f"""
[network]
activation = "relu"
[init]
scheme = {{ name = "file", path = "{point}.h5" }}
[statistics]
preset = "full"
[run]
precision = "{precision}"
""")
                program.measure(again, f"again_{point}.h5", "--stages", "2", ranks=2)
                expected, got = self.statistics("out.h5", point), self.statistics(f"again_{point}.h5", 0)
                for name, values in expected.items():
                    self.assertEqual(got[name].tobytes(), values.tobytes(), name)

    def test_every_kind_of_block_has_the_bits_of_its_exported_weights(self):
        drawn = '\nwidth = 12\n[init]\nscheme = "orthogonal"\nsigma_w = 1.3\nsigma_b = 0.2\n'
        stored = '\n[init]\nscheme = { name = "file", path = "w.h5" }\n'
        for block in BLOCKS:
            with self.subTest(block=block):
                sweep = self.write("sweep.toml", NETWORK_OF_BLOCKS + block + drawn)
                is_step = "rnn" in block or "gru" in block or "lstm" in block
                depth = "depth = 3" if is_step else ""
                again = self.write("again.toml", NETWORK_OF_BLOCKS.replace("depth = 3", depth) + block + stored)
                program.measure(sweep, "out.h5")
                exported = program.run("export", "out.h5", "--point", 0, "-o", "w.h5")
                self.assertEqual(exported.returncode, program.COMPLETE, exported.stderr)
                program.measure(again, "again.h5")
                expected, got = self.statistics("out.h5", 0), self.statistics("again.h5", 0)
                self.assertEqual(expected.keys(), got.keys())
                for name in got:
                    self.assertEqual(got[name].tobytes(), expected[name].tobytes(), name)
            for name in ("out.h5", "w.h5", "again.h5"):
                (self.folder / name).unlink()

    def test_scales_that_data_found_are_exported_with_the_weights(self):
        for block in ('"dense"\nactivation = "relu"', '"residual"', '"highway"'):
            with self.subTest(block=block):
                lsuv = '\nwidth = 12\n[init]\nscheme = "lsuv"\ngain = 1.4\n'
                stored = '\n[init]\nscheme = { name = "file", path = "w.h5" }\n'
                network = NETWORK_OF_BLOCKS.replace("full", "standard") + block
                sweep = self.write("sweep.toml", network + lsuv)
                again = self.write("again.toml", network.replace("depth = 3", "") + stored)
                program.measure(sweep, "out.h5", "--stages", "2", ranks=2)
                self.assertEqual(program.run("export", "out.h5", "--point", 0, "-o", "w.h5").returncode, program.COMPLETE)
                program.measure(again, "again.h5")
                expected, got = self.statistics("out.h5", 0), self.statistics("again.h5", 0)
                for name in got:
                    self.assertEqual(got[name].tobytes(), expected[name].tobytes(), name)
                with h5py.File("out.h5") as out:
                    np.testing.assert_allclose(out["effective_sigma_w"][0], 10 ** out["weight_log10_norm"][0] / np.sqrt(12),
                                               rtol=1e-12)
            for name in ("out.h5", "w.h5", "again.h5"):
                (self.folder / name).unlink()

    def test_weights_of_somebody_else_are_what_is_measured(self):
        sweep = self.write("sweep.toml", """
[network]
depth = 2
width = 12
[data]
source = { name = "idx", images = "files/images.idx" }
[init]
scheme = { name = "file", path = "files/weights.h5" }
""")
        program.measure(sweep, "out.h5", ranks=2)
        with h5py.File("out.h5") as out, h5py.File("files/weights.h5") as weights:
            for layer in (1, 2):
                expected = np.log10(np.linalg.norm(weights[f"layer_{layer}/weight"]))
                self.assertAlmostEqual(out["weight_log10_norm"][0, layer - 1], expected, 6)  # float32 weights
            self.assertTrue(np.isnan(out["effective_sigma_w"][()]).all())

    def test_weights_that_keras_saved_are_those_of_its_dense_layers(self):
        kernels = [RANDOM.normal(size=(12, 7)), RANDOM.normal(size=(7, 5))]
        with h5py.File("keras.h5", "w") as file:  # as model.save() of Keras 2 lays it out
            model = file.create_group("model_weights")
            model.attrs["layer_names"] = [b"input_1", b"hidden", b"activation", b"dense"]
            for name in ("input_1", "activation"):
                model.create_group(name).attrs["weight_names"] = []
            for name, kernel in zip(("hidden", "dense"), kernels):
                layer = model.create_group(name)
                layer.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
                layer[f"{name}/kernel:0"] = kernel.astype(np.float32)
                layer[f"{name}/bias:0"] = np.zeros(kernel.shape[1], np.float32)
        sweep = self.write("sweep.toml", '[init]\nscheme = { name = "file", path = "keras.h5" }\n[data]\nbatch = 1\n'
                                         '[network]\nactivation = "linear"\n')
        program.measure(sweep, "out.h5")
        with h5py.File("out.h5") as out:
            for layer, kernel in enumerate(kernels):
                self.assertAlmostEqual(out["weight_log10_norm"][0, layer], np.log10(np.linalg.norm(kernel)), 6)

    def test_weights_that_keras_3_saved_are_those_of_its_dense_layers(self):
        kernels = [RANDOM.normal(size=(9, 9)) for _ in range(12)]
        for root in ("layers", "_layer_checkpoint_dependencies"):  # of Keras 3 and of 2.13
            with self.subTest(root=root), h5py.File("keras.weights.h5", "w") as file:
                file.create_group("vars")
                file.create_group("optimizer/vars")["0"] = 5
                file.create_group(f"{root}/input_layer/vars")
                file.create_group(f"{root}/dropout/vars")
                for number, kernel in enumerate(kernels):  # dense_10 and dense_11 come behind dense_9
                    layer = file.create_group(f"{root}/dense_{number}/vars" if number else f"{root}/dense/vars")
                    layer["0"] = kernel.astype(np.float32)
                    layer["1"] = np.full(9, number / 10, np.float32)
            sweep = self.write("sweep.toml", '[init]\nscheme = { name = "file", path = "keras.weights.h5" }\n'
                                             '[run]\nprecision = "float64"\n[network]\nactivation = "linear"\n')
            program.measure(sweep, "out.h5")
            self.assertEqual(program.run("export", "out.h5", "--point", 0, "-o", "w.h5").returncode, program.COMPLETE)
            with h5py.File("w.h5") as weights:
                for layer, kernel in enumerate(kernels, 1):
                    np.testing.assert_array_equal(weights[f"layer_{layer}/weight"][()], kernel.T.astype(np.float32))
                    if layer > 1:
                        np.testing.assert_array_equal(weights[f"layer_{layer}/bias"][()], np.full(9, np.float32((layer - 1) / 10)))
            for name in ("out.h5", "w.h5"):
                (self.folder / name).unlink()

    def test_export_refuses_what_it_cannot_do(self):
        sweep = self.write("sweep.toml", self.SWEEP)
        for arguments, says in ((("--point", "12", "-o", "w.h5"), "12 points"),
                                (("--point", "0", "-o", "sweep.toml"), "exists already"),
                                (("--point", "0", "-o", "nowhere/w.h5"), "cannot be written")):
            with self.subTest(arguments=arguments):
                ended = program.run("export", sweep, *arguments)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assertIn(says, ended.stderr)
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.h5*")), [])


class Mistakes(WithFiles):
    def test_in_data_and_weights(self):
        for number, (name, (old, new, parts)) in enumerate(MISTAKES.items()):
            with self.subTest(name):
                self.assertIn(old, GOOD)
                sweep = self.write("sweep.toml", GOOD.replace(old, new, 1))
                ended = program.run("run", sweep, "-o", "out.h5", ranks=2 if number % 8 == 0 else None)
                self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
                self.assertEqual(ended.stderr.count("gradflow: "), 1, ended.stderr)
                for part in parts:
                    self.assertIn(part, ended.stderr)
                self.assertEqual([path.name for path in self.folder.glob("out.h5*")], [])

    def test_of_a_point_that_is_not_the_first(self):
        sweep = self.write("sweep.toml", GOOD.replace("width = 12", "") + "[sweep]\nnetwork.width = [12, 9]\n")
        ended = program.run("run", sweep, "-o", "out.h5", ranks=2)
        self.assertEqual(ended.returncode, program.MISTAKE, ended.stderr)
        self.assertIn("9 units", ended.stderr)


if __name__ == "__main__":
    unittest.main()
