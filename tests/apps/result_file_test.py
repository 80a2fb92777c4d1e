"""The result file opened with what users have: xarray (both engines), h5py, ncdump, h5dump."""
import os
import subprocess
import unittest

import h5py
import numpy as np
import xarray

import program

ENGINES = ("netcdf4", "h5netcdf")

SWEEP = """
title = "Order to chaos"
[network]
activation = "tanh"
width = 20
depth = 6
[data]
batch = 8
[statistics]
preset = "full"
[sweep]
init.sigma_w = [0.5, 1.5]
seed = { range = [0, 3] }
"""

RAGGED = SWEEP.replace("depth = 6\n", "").replace("[sweep]\n", "[sweep]\nnetwork.depth = [3, 6]\n")

# What has variables of its own: blocks, stacked levels, ragged depths, a parameter of a named value, data.
SWEEPS_OF_EVERY_KIND = (
    'normalization = "batch"',
    'block = "residual"',
    'block = "highway"',
    'block = "gru"',
    'block = "lstm"\nstack = 2\ninput = "gaussian"',
)

# DESIGN 3.3, dense block. The last entries of a row share its dimensions.
DOCUMENTED = {
    ("point",): "status checksum point_hash failure_code failure_layer sigma_w seed wall_seconds "
                "theory_chi1 theory_depth_scale theory_critical_sigma_w",
    ("point", "layer"): "preact_log10_q act_log10_q "
                        "preact_mean_over_rms preact_var_over_q preact_skewness preact_kurtosis "
                        "preact_min_over_rms preact_max_over_rms "
                        "act_mean_over_rms act_var_over_q act_skewness act_kurtosis act_min_over_rms act_max_over_rms "
                        "dgrad_kurtosis preact_log10_norm_mean preact_log10_norm_std preact_corr act_corr dgrad_corr "
                        "act_zero_fraction act_dead_fraction act_saturated_fraction "
                        "dgrad_log10_norm_mean dgrad_log10_norm_std dgrad_dead_sample_fraction "
                        "dgrad_log10_rms dgrad_log10_absmax dgrad_zero_fraction "
                        "wgrad_log10_norm bgrad_log10_norm weight_log10_norm wgrad_to_weight_log10 log10_noise_scale "
                        "preact_common_share act_common_share act_effective_rank act_stable_rank preact_log2_reference "
                        "act_log2_reference dgrad_log2_reference log10_signal_to_noise "
                        "theory_preact_log10_q theory_preact_corr theory_dgrad_log10_rms",
    ("point", "layer", "format"): "dgrad_underflow_fraction dgrad_scaled_underflow_fraction dgrad_overflow_fraction",
    ("point", "layer", "bin"): "preact_log2_histogram act_log2_histogram dgrad_log2_histogram",
    ("point", "layer", "quantile"): "preact_quantile_over_rms act_quantile_over_rms dgrad_quantile_over_rms",
    ("point", "layer", "lag"): "dgrad_lag_corr",
    (): "block depth width activation normalization scheme sigma_b data_source batch backward_source precision",
}

INTEGERS = {"status": np.int8, "failure_code": np.int8, "failure_layer": np.int32, "checksum": np.uint64,
            "point_hash": np.uint64, "seed": np.uint64}


def text_of(value):
    return value.decode() if isinstance(value, bytes) else value


class ResultFile(program.InFolder):
    def measure(self, sweep):
        """A file of which the second half of the points is not done, as in mid-run."""
        program.measure(self.write("sweep.toml", sweep), "out.h5", ranks=2)
        with h5py.File("out.h5", "r+") as file:
            points = len(file["status"])
            file["status"][points // 2:] = 0

    def each_engine(self):
        for engine in ENGINES:
            with self.subTest(engine=engine), xarray.open_dataset("out.h5", engine=engine) as ds:
                yield ds

    def test_full_preset_has_every_documented_variable(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            for dimensions, names in DOCUMENTED.items():
                for name in names.split():
                    self.assertEqual(ds[name].dims, dimensions, name)
            self.assertEqual(dict(ds.sizes) | {"point": 6, "layer": 6, "format": 6}, dict(ds.sizes))

    def test_further_dimensions_have_their_coordinates(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            np.testing.assert_array_equal(ds["bin"], np.arange(-40, 9))
            np.testing.assert_array_equal(ds["quantile"], [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
            np.testing.assert_array_equal(ds["lag"], 2 ** np.arange(8))
            done = ds.isel(point=0)
            median = done["act_quantile_over_rms"].sel(quantile=0.5)
            self.assertTrue((abs(median) < 1).all())
            np.testing.assert_allclose(done["act_log2_histogram"].sum("bin"), 1 - done["act_zero_fraction"])
            self.assertEqual(ds["dgrad_overflow_fraction"].attrs["setting"], "loss_scale = 16")

    def test_statistics_by_name_beside_a_preset(self):
        names = ("act_effective_rank", "dgrad_log2_histogram")
        self.measure(SWEEP.replace('preset = "full"', f'preset = "lean"\nalso = {list(names)}'.replace("'", '"')))
        with xarray.open_dataset("out.h5") as ds:
            self.assertIn("bin", ds.sizes)
            self.assertNotIn("quantile", ds.sizes)
            self.assertEqual(ds.attrs["statistics_also"], " ".join(names))
            for name in names:
                self.assertTrue(np.isfinite(ds[name][0]).all())
            self.assertNotIn("act_stable_rank", ds)

    def test_a_file_does_not_take_in_another_loss_scale(self):
        sweep = self.write("sweep.toml", SWEEP)
        program.measure(sweep, "out.h5")
        ended = program.run("run", sweep, "-o", "out.h5", "--set", "statistics.loss_scale=8", "--set", "seed={range=[0,4]}")
        self.assertEqual(ended.returncode, program.MISTAKE)
        self.assertIn("dgrad_scaled_underflow_fraction with loss_scale = 16", ended.stderr)

    def test_statistics_are_float64_and_the_rest_is_as_documented(self):
        self.measure(SWEEP)
        with h5py.File("out.h5") as file:
            for dimensions in (("point", "layer"), ("point", "layer", "format")):
                for name in DOCUMENTED[dimensions].split():
                    self.assertEqual(file[name].dtype, np.float64, name)
                    self.assertIsNone(file[name].chunks, name)
            for name, dtype in INTEGERS.items():
                self.assertEqual(file[name].dtype, dtype, name)

    def test_every_variable_describes_itself(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            for name, variable in ds.variables.items():
                self.assertTrue(variable.attrs.get("long_name"), name)
                self.assertTrue(variable.attrs.get("units"), name)
            for dimensions in (("point", "layer"), ("point", "layer", "format")):
                for name in DOCUMENTED[dimensions].split():
                    self.assertEqual(ds[name].attrs["units"], "1", name)
                    self.assertTrue(ds[name].attrs["formula"], name)
                    self.assertNotIn("run_fact", ds[name].attrs, name)
                    for coordinate in ("sigma_w", "seed", "status", "layer"):
                        self.assertIn(coordinate, ds[name].coords, name)
            self.assertEqual(ds.wall_seconds.attrs["units"], "s")
            self.assertEqual(ds.wall_seconds.attrs["run_fact"], 1)
            self.assertEqual(list(ds.status.attrs["flag_values"]), [0, 1, 2])
            self.assertEqual(ds.status.attrs["flag_meanings"], "not_done done failed")

    def test_nothing_in_a_file_is_without_long_name_units_and_formula(self):
        for kind in SWEEPS_OF_EVERY_KIND:
            with self.subTest(kind):
                self.measure(SWEEP.replace("[network]\n", "[network]\n" + kind + "\n"))
                with h5py.File("out.h5") as file:
                    described = {name: {key: text_of(value) for key, value in variable.attrs.items()}
                                 for name, variable in file.items()
                                 if b"not a netCDF variable" not in variable.attrs.get("NAME", b"")}
                statistics = {name for name, told in described.items() if told["gradflow_role"] == "statistic"}
                self.assertGreater(len(statistics), 50)
                for name, told in described.items():
                    self.assertTrue(told.get("long_name"), name)
                    self.assertTrue(told.get("units"), name)
                    if name in statistics or name == "checksum":
                        self.assertTrue(told.get("formula"), name)
                        self.assertTrue(told.get("coordinates"), name)
                os.unlink("out.h5")

    def test_root_attributes_tell_how_it_was_made(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            self.assertTrue(ds.attrs["Conventions"].startswith("CF-"))
            self.assertEqual(ds.attrs["title"], "Order to chaos")
            self.assertEqual(ds.attrs["sweep_file"], SWEEP)
            for name in ("gradflow_version", "gradflow_commit", "compiler", "mpi_version", "hdf5_version",
                         "openblas_version", "tbb_version", "numerics_identity", "sweep_file_xxh64"):
                self.assertTrue(ds.attrs[name], name)
            self.assertEqual(ds.attrs["saturation_threshold"], 0.01)
            self.assertIn("batch (fan_in + fan_out) < fan_in fan_out", ds.attrs["weight_gradient_norms"])

    def test_coordinates_hold_the_sweep(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            np.testing.assert_array_equal(ds.sigma_w, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5])
            np.testing.assert_array_equal(ds.seed, [0, 1, 2, 0, 1, 2])
            np.testing.assert_array_equal(ds.layer, [1, 2, 3, 4, 5, 6])
            self.assertEqual(list(ds["format"].values), ["fp8_e4m3", "fp8_e5m2", "fp16", "bf16", "fp32", "fp64"])
            self.assertEqual((ds.width.item(), ds.batch.item(), ds.sigma_b.item()), (20, 8, 0.0))
            self.assertEqual((str(ds.block.values), str(ds.activation.values)), ("dense", "tanh"))

    def test_mask_by_status(self):
        self.measure(SWEEP)
        for ds in self.each_engine():
            masked = ds.dgrad_log10_norm_mean.where(ds.status == 1)
            self.assertEqual(masked.dims, ("point", "layer"))
            self.assertTrue(np.isfinite(masked.isel(point=slice(0, 3))).all())
            self.assertTrue(np.isnan(masked.isel(point=slice(3, 6))).all())

    def test_stacked_levels_have_a_time_and_a_level(self):
        self.measure(SWEEP.replace("depth = 6", 'depth = 4\nblock = "lstm"\nstack = 3'))
        for ds in self.each_engine():
            self.assertEqual(ds.dgrad_log10_norm_mean.dims, ("point", "layer"))
            np.testing.assert_array_equal(ds.layer, np.arange(1, 13))
            np.testing.assert_array_equal(ds.dgrad_log10_norm_mean.coords["time"], np.repeat([1, 2, 3, 4], 3))
            np.testing.assert_array_equal(ds.dgrad_log10_norm_mean.coords["level"], np.tile([1, 2, 3], 4))
            self.assertEqual(ds.tied_wgrad_log10_norm.dims, ("point", "stack_level"))
            np.testing.assert_array_equal(ds.stack_level, [1, 2, 3])
            self.assertTrue(np.isfinite(ds.tied_wgrad_log10_norm[:3]).all())
            self.assertTrue(np.isnan(ds.input_weight_log10_norm[0, 0]))
            self.assertTrue(np.isfinite(ds.input_weight_log10_norm[0, 1]))

    def test_stacks_of_several_heights_are_ragged(self):
        sweep = SWEEP.replace("depth = 6", 'block = "rnn"')
        self.measure(sweep + "\n[[zip]]\nnetwork.depth = [6, 3]\nnetwork.stack = [1, 2]\n")
        for ds in self.each_engine():
            self.assertEqual(ds.dgrad_log10_norm_mean.dims, ("obs",))
            times, levels = ds.dgrad_log10_norm_mean.coords["time"], ds.dgrad_log10_norm_mean.coords["level"]
            np.testing.assert_array_equal(times[:12], [1, 2, 3, 4, 5, 6, 1, 1, 2, 2, 3, 3])
            np.testing.assert_array_equal(levels[:12], [1] * 6 + [1, 2] * 3)
            self.assertTrue(np.isnan(ds.tied_wgrad_log10_norm[0, 1]))
            self.assertTrue(np.isfinite(ds.tied_wgrad_log10_norm[1]).all())

    def test_ragged_depths_follow_cf(self):
        self.measure(RAGGED)
        for ds in self.each_engine():
            self.assertEqual(ds.dgrad_log10_norm_mean.dims, ("obs",))
            self.assertEqual(ds.dgrad_underflow_fraction.dims, ("obs", "format"))
            self.assertEqual(ds.row_size.attrs["sample_dimension"], "obs")
            np.testing.assert_array_equal(ds.row_size, ds.depth)
            np.testing.assert_array_equal(ds.row_start, np.cumsum(ds.depth) - ds.depth)
            np.testing.assert_array_equal(ds.point_index, np.repeat(np.arange(12), ds.depth))
            np.testing.assert_array_equal(ds.layer, np.concatenate([np.arange(1, d + 1) for d in ds.depth.values]))

            masked = ds.dgrad_log10_norm_mean.where(ds.status[ds.point_index] == 1)
            np.testing.assert_array_equal(np.isfinite(masked), ds.point_index < 6)

    def test_opens_with_ncdump_and_h5dump(self):
        self.measure(SWEEP)
        netcdf = subprocess.run(["ncdump", "-h", "out.h5"], check=True, capture_output=True, text=True).stdout
        for line in ("point = 6 ;", "layer = 6 ;", "format = 6 ;", "double dgrad_log10_norm_mean(point, layer) ;",
                     "double dgrad_underflow_fraction(point, layer, format) ;", "byte status(point) ;",
                     "string activation ;", 'dgrad_log10_norm_mean:coordinates = "sigma_w seed status" ;'):
            self.assertIn(line, netcdf)
        self.assertNotIn("phony", netcdf)

        hdf5 = subprocess.run(["h5dump", "-H", "out.h5"], check=True, capture_output=True, text=True).stdout
        self.assertIn('DATASET "dgrad_log10_norm_mean"', hdf5)

    def test_launches_are_told(self):
        self.measure(SWEEP)
        with h5py.File("out.h5") as file:
            self.assertEqual(file["launch_ranks"][0].tobytes().rstrip(b"\0"), b"2")
            self.assertTrue(file["launch_hosts"][0].tobytes().rstrip(b"\0"))
            self.assertEqual(file["launch_count"][()], 1)


if __name__ == "__main__":
    unittest.main()
