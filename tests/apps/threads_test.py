"""Threads share the work of one rank and give the same bits; under the preset tsan, also without a race."""
import unittest

import program
import results

SWEEP = """
[network]
depth = 8
[data]
batch = 70
[statistics]
preset = "full"
[sweep]
network.width = [64, 130]
network.block = ["dense", "residual", "lstm"]
init.sigma_w = [0.9, 1.8]
"""


class Threads(program.InFolder):
    def test_threads_give_the_same_bits(self):
        self.write("sweep.toml", SWEEP)
        program.measure("sweep.toml", "one.h5", "--threads", "1")
        ended = program.measure("sweep.toml", "three.h5", "--threads", "3")
        self.assertNotIn("ThreadSanitizer", ended.stderr)
        self.assertEqual(results.differences("one.h5", "three.h5"), [])


if __name__ == "__main__":
    unittest.main()
