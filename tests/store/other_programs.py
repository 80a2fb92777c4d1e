"""Opens result files with the programs users have: xarray (both engines), h5py, ncdump and h5dump.

usage: other_programs.py MPIEXEC WRITE_SAMPLE
"""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
import xarray

LAYERS = [1, 3, 5, 7, 9, 11]
NAME = "dgrad_log10_norm_mean"
ENGINES = ("netcdf4", "h5netcdf")
directory = Path(tempfile.mkdtemp(prefix="gradflow_store_"))


def value(column, seed, layer, index=0):
    """The formula of SampleSweep::value."""
    return len(column) + 1000.0 * seed + layer + 0.125 * index


class Rectangle(unittest.TestCase):
    path = directory / "rectangle.h5"

    def each_engine(self):
        for engine in ENGINES:
            with self.subTest(engine=engine), xarray.open_dataset(self.path, engine=engine) as ds:
                yield ds

    def test_has_named_dimensions(self):
        for ds in self.each_engine():
            self.assertEqual(ds[NAME].dims, ("point", "layer"))
            self.assertEqual(ds["dgrad_underflow_fraction"].dims, ("point", "layer", "format"))
            self.assertEqual(ds["theory_chi1"].dims, ("point",))
            self.assertEqual(ds["width"].dims, ())
            self.assertEqual(dict(ds[NAME].sizes), {"point": 6, "layer": 6})

    def test_has_coordinates(self):
        for ds in self.each_engine():
            for name in ("sigma_w", "activation", "seed", "status", "layer"):
                self.assertIn(name, ds[NAME].coords)
            self.assertEqual(list(ds.layer.values), LAYERS)
            self.assertEqual(list(ds.activation.values), ["tanh", "erf"] * 3)
            self.assertEqual(list(ds["format"].values), ["fp8_e4m3", "fp16", "fp32"])
            np.testing.assert_array_equal(ds.sigma_w, 0.5 + 0.25 * np.arange(6))
            self.assertEqual(ds.seed.dtype, np.uint64)
            self.assertEqual(ds.width.item(), 256)
            self.assertEqual(str(ds.block.values), "dense")

    def test_describes_every_variable(self):
        for ds in self.each_engine():
            for name in list(ds.data_vars) + ["sigma_w", "seed", "status"]:
                if name.startswith("launch"):
                    continue
                self.assertTrue(ds[name].attrs["long_name"], name)
                self.assertTrue(ds[name].attrs["units"], name)
            self.assertEqual(ds[NAME].attrs["formula"], "mean_s log10 |dE_s/dz_l|")
            self.assertEqual(ds.status.attrs["flag_meanings"], "not_done done failed")
            self.assertEqual(list(ds.status.attrs["flag_values"]), [0, 1, 2])
            self.assertEqual(ds.failure_code.attrs["flag_meanings"].split()[0], "none")
            self.assertEqual(ds.wall_seconds.attrs["run_fact"], 1)
            self.assertNotIn("run_fact", ds[NAME].attrs)
            self.assertEqual(ds.attrs["Conventions"], "CF-1.10")
            self.assertEqual(ds.attrs["title"], "Order to chaos")

    def test_masks_by_status(self):
        for ds in self.each_engine():
            masked = ds[NAME].where(ds.status == 1)
            expected = np.full((6, 6), np.nan)
            expected[:4] = [[value(NAME, seed, layer) for layer in LAYERS] for seed in range(4)]
            np.testing.assert_array_equal(masked, expected)

    def test_selects_by_name(self):
        for ds in self.each_engine():
            fraction = ds.dgrad_underflow_fraction.sel(layer=5, format="fp16").isel(point=2)
            self.assertEqual(fraction.item(), value("dgrad_underflow_fraction", 2, 5, 1))

    def test_opens_with_h5py(self):
        with h5py.File(self.path, "r") as f:
            self.assertEqual(list(f.attrs)[:2], ["Conventions", "title"])
            self.assertEqual(f[NAME].dtype, np.float64)
            self.assertIsNone(f[NAME].chunks)
            self.assertEqual([d[0].name for d in f[NAME].dims], ["/point", "/layer"])
            self.assertEqual(f["checksum"].dtype, np.uint64)
            self.assertEqual(f["failure_layer"].dtype, np.int32)
            self.assertEqual(f["launch_job"][0].tobytes().rstrip(b"\0"), b"42")

    def test_opens_with_ncdump(self):
        text = subprocess.run(["ncdump", "-h", self.path], check=True, capture_output=True, text=True).stdout
        for line in ("point = 6 ;", "layer = 6 ;", "format = 3 ;", f"double {NAME}(point, layer) ;",
                     "byte status(point) ;", "string activation(point) ;", "int64 width ;"):
            self.assertIn(line, text)
        self.assertNotIn("phony", text)
        self.assertNotIn(" double point(", text)

    def test_opens_with_h5dump(self):
        text = subprocess.run(["h5dump", "-H", self.path], check=True, capture_output=True, text=True).stdout
        self.assertIn(f'DATASET "{NAME}"', text)


class Ragged(unittest.TestCase):
    path = directory / "ragged.h5"

    def test_follows_cf_contiguous_ragged(self):
        for engine in ENGINES:
            with self.subTest(engine=engine), xarray.open_dataset(self.path, engine=engine) as ds:
                self.assertEqual(ds[NAME].dims, ("obs",))
                self.assertEqual(ds.row_size.attrs["sample_dimension"], "obs")
                self.assertEqual(ds.sizes["obs"], int(ds.row_size.sum()))
                masked = ds[NAME].where(ds.status[ds.point_index] == 1)
                rows = zip(ds.point_index.values, ds.layer.values)
                expected = [value(NAME, p, layer) if p < 4 else np.nan for p, layer in rows]
                np.testing.assert_array_equal(masked, expected)
                starts = np.concatenate([[0], np.cumsum(ds.row_size)[:-1]])
                np.testing.assert_array_equal(ds.row_start, starts)


if __name__ == "__main__":
    mpiexec, write_sample = sys.argv[1:]
    subprocess.run([mpiexec, "-q", "-n", "2", "--oversubscribe", "--bind-to", "none", write_sample, directory],
                   check=True)
    unittest.main(argv=sys.argv[:1])
