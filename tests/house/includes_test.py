"""The check of includes finds what it is there to find."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK, CMAKE = sys.argv[1:3]
del sys.argv[1:3]


class Includes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def check(self, path, line):
        """Of the module nn, which may include core, with this line in this file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#include <vector>\n{line}\n")
        ended = subprocess.run([CMAKE, f"-DROOT={self.root}", "-DMODULE=nn", "-DALLOWED=core", "-P", CHECK],
                               capture_output=True, text=True)
        file.unlink()
        return ended.returncode == 0, " ".join(ended.stderr.split())

    def test_its_own_module_and_those_below_are_allowed(self):
        (self.root / "src" / "nn").mkdir(parents=True)
        (self.root / "src" / "nn" / "local.hpp").touch()
        for line in ('#include "gradflow/nn/block.hpp"', '#include "gradflow/core/matrix.hpp"', '#include "local.hpp"'):
            self.assertEqual(self.check("src/nn/block.cpp", line), (True, ""), line)

    def test_another_module_is_refused(self):
        for path in ("include/gradflow/nn/block.hpp", "src/nn/block.cpp", "src/nn/local.hpp"):
            for line in ('#include "gradflow/pipeline/stage.hpp"', "  #  include <gradflow/pipeline/stage.hpp>"):
                passed, message = self.check(path, line)
                self.assertFalse(passed)
                self.assertIn(f"{path}: nn must not include pipeline (allowed: core)", message)

    def test_a_library_that_has_a_door_of_its_own_is_refused(self):
        for header in ("mpi.h", "hdf5.h", "hdf5_hl.h", "cblas.h", "tbb/parallel_for.h", "oneapi/tbb.h", "toml++/toml.h",
                       "zlib.h", "boost/math/special_functions.hpp"):
            for line in (f"#include <{header}>", f'#include "{header}"'):
                passed, message = self.check("src/nn/block.cpp", line)
                self.assertFalse(passed, line)
                self.assertIn(f"src/nn/block.cpp: {header} belongs to", message)

    def test_a_library_without_a_door_is_refused(self):
        passed, message = self.check("src/nn/block.cpp", "#include <Eigen/Dense>")
        self.assertFalse(passed)
        self.assertIn("src/nn/block.cpp: Eigen/Dense is of a library without a door", message)
        for line in ("#include <fmt/format.h>", "#include <sys/stat.h>", "#include <unistd.h>", "#include <cstdint>"):
            self.assertEqual(self.check("src/nn/block.cpp", line), (True, ""), line)

    def test_what_another_module_keeps_to_itself_is_refused(self):
        (self.root / "src" / "core").mkdir(parents=True)
        (self.root / "src" / "core" / "lapack.hpp").touch()
        for header in ("../core/lapack.hpp", "lapack.hpp"):
            passed, message = self.check("src/nn/block.cpp", f'#include "{header}"')
            self.assertFalse(passed, header)
            self.assertIn(f"src/nn/block.cpp: {header} is neither public nor in this folder", message)

    def test_modules_that_include_each_other_are_refused(self):
        (self.root / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.25)\nproject(cycle CXX)\ninclude({Path(CHECK).parent}/Module.cmake)\n"
            "add_library(gradflow_options INTERFACE)\n"
            "gradflow_module(core MAY_INCLUDE nn)\ngradflow_module(nn MAY_INCLUDE core)\n")
        for module in ("core", "nn"):
            (self.root / "src" / module).mkdir(parents=True)
            (self.root / "src" / module / "one.cpp").touch()
        ended = subprocess.run([CMAKE, "-S", self.root, "-B", self.root / "build"], capture_output=True, text=True)
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("module core may include nn, which does not stand below it", " ".join(ended.stderr.split()))


if __name__ == "__main__":
    unittest.main()
