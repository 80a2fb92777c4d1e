"""CMake stops where a library would not do, and builds for other machines if told so."""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, CMAKE, HDF5_HEADERS, HDF5_LIBRARIES = sys.argv[1:5]
del sys.argv[1:5]


class Configuration(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def configure(self, **settings):
        definitions = [f"-D{name}={value}" for name, value in settings.items()]
        return subprocess.run([CMAKE, "-S", SOURCE, "-B", self.folder / "build", "-G", "Ninja", "-DGRADFLOW_TESTS=OFF",
                               *definitions], capture_output=True, text=True, timeout=300)

    def assert_stops(self, ended, *words):
        self.assertNotEqual(ended.returncode, 0)
        for word in words:
            self.assertIn(word, re.sub(r"\s+", " ", ended.stderr))

    def test_hdf5_that_is_not_parallel_is_refused(self):
        serial = self.folder / "serial"
        shutil.copytree(HDF5_HEADERS, serial)
        facts = serial / "H5pubconf.h"
        facts.write_text(facts.read_text().replace("#define H5_HAVE_PARALLEL 1", "/* #undef H5_HAVE_PARALLEL */"))
        self.assertNotIn("define H5_HAVE_PARALLEL", facts.read_text())
        compiler = self.folder / "h5cc"
        compiler.write_text(f'#!/bin/sh\necho "cc -I{serial} -L{HDF5_LIBRARIES} -lhdf5_hl -lhdf5 $*"\n')
        compiler.chmod(0o755)

        ended = self.configure(HDF5_C_COMPILER_EXECUTABLE=compiler)

        self.assert_stops(ended, "parallel HDF5 not found: apt-get install libhdf5-openmpi-dev")
        self.assertIn("Found HDF5", ended.stdout, "it was found, and refused")

    def test_serial_openblas_is_refused(self):
        source, library = self.folder / "serial.c", self.folder / "libopenblas.so"
        source.write_text("int openblas_get_parallel(void) { return 0; }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)

        ended = self.configure(OPENBLAS_LIBRARY=library)

        self.assert_stops(ended, f"{library} is not the pthread build of OpenBLAS", "openblas_get_parallel() = 0",
                          "apt-get install libopenblas-pthread-dev")

    def test_instruction_set_is_this_machine_s_unless_told_otherwise(self):
        for native, wanted in (("ON", "-march=native"), ("OFF", "-march=x86-64-v2")):
            self.assertEqual(self.configure(GRADFLOW_NATIVE=native).returncode, 0)
            commands = json.loads((self.folder / "build" / "compile_commands.json").read_text())
            self.assertGreater(len(commands), 30)
            for command in commands:
                self.assertEqual(re.findall(r"-march=\S+", command["command"]), [wanted], command["file"])


if __name__ == "__main__":
    unittest.main()
