"""Memory: the same bits however little is kept, a peak as predicted, and a limit that cannot be kept is refused."""
import json
import os
import re
import unittest

import program
import results

# Points of equal weights, so that they are stacked.
SWEEP = """
[network]
depth = 60
width = 100
[init]
sigma_b = 0.1
[data]
batch = 64
[statistics]
preset = "full"
[sweep]
network.activation = ["tanh", "relu"]
init.sigma_w = [0.9, 1.6]
"""

LAYOUTS = [(None,), (2, "--stages", "2"), (3, "--stages", "3", "--microbatches", "2"), (4, "--stages", "2"),
           (None, "--microbatches", "2"), (None, "--bundle", "1")]

DEEP = """
[network]
depth = {depth}
width = {width}
activation = "tanh"
[init]
sigma_w = 1.2
[data]
batch = {batch}
"""


def decisions(sweep, *options, ranks=None):
    """What `plan` decides as the limit falls, from keeping everything to as little as possible: limit and plan."""
    limit = 8 << 30
    while True:
        ended = program.run("plan", sweep, "--json", "--memory", str(limit), *options, ranks=ranks)
        if ended.returncode == program.MISTAKE:
            return
        plan = json.loads(ended.stdout)
        yield limit, plan
        limit = plan["bytes_per_rank"] - (1 << 18)


def name_of(plan):
    return plan["signals_kept_every"], plan["weights_kept"]


class Memory(program.InFolder):
    def test_no_bit_depends_on_what_is_kept(self):
        sweep = self.write("sweep.toml", SWEEP)
        program.measure(sweep, "reference.h5", "--threads", "1", "--bundle", "1")
        expected = results.one_hash("reference.h5")
        taken = set()
        for ranks, *options in LAYOUTS:
            for limit, plan in decisions(sweep, *options, ranks=ranks):
                with self.subTest(ranks=ranks, options=options, decision=name_of(plan)):
                    ended = self.run_at(limit, sweep, *options, ranks=ranks)
                    self.assertEqual(ended.returncode, program.COMPLETE, ended.stderr)
                    taken.add(re.search(r"memory about .* per rank: (.*)", ended.stderr)[1])
                    self.assertEqual(results.one_hash("out.h5"), expected, results.differences("reference.h5", "out.h5"))
                    os.unlink("out.h5")
        for kept in ("signals of every layer kept, weights kept", "signals of every layer kept, weights generated again",
                     r"signals kept every \d+ layers, .*", r"signals kept every \d+ and \d+.* layers, .*"):
            self.assertTrue(any(re.fullmatch(kept, decision) for decision in taken), (kept, taken))

    def run_at(self, limit, sweep, *options, ranks):
        """The process is a little larger or smaller every time: up to 2 MiB more, if the limit is refused."""
        for more in range(18, 22):
            ended = program.run("run", sweep, "-o", "out.h5", "--memory", limit + (1 << more), *options, ranks=ranks)
            if ended.returncode != program.MISTAKE:
                break
        return ended

    def test_less_is_kept_as_the_limit_falls(self):
        sweep = self.write("sweep.toml", DEEP.format(depth=20000, width=64, batch=64))
        plans = [plan for _, plan in decisions(sweep)]
        names = [name_of(plan) for plan in plans]

        self.assertEqual(names[0], ([], True))
        self.assertIn(([], False), names)  # normal weights cost less than a forward pass
        self.assertEqual([len(spans) for spans, _ in names], sorted(len(spans) for spans, _ in names))
        self.assertGreaterEqual(len(names[-1][0]), 2)

    def test_a_limit_below_one_layer_is_refused(self):
        sweep = self.write("sweep.toml", DEEP.format(depth=50, width=3000, batch=64))
        for command in (["plan", sweep], ["run", sweep, "-o", "out.h5"]):
            for ranks in (None, 2):
                with self.subTest(command=command, ranks=ranks):
                    ended = program.run(*command, "--memory", "60M", ranks=ranks)
                    self.assertEqual(ended.returncode, program.MISTAKE)
                    self.assertRegex(ended.stderr, r"--memory: 60M .*depth 50, batch 64\) needs \d+M")
                    self.assertEqual(ended.stderr.count("gradflow:"), 1)
        self.assertEqual([path.name for path in self.folder.glob("*.*")], ["sweep.toml"])

    def test_an_amount_that_is_none_is_refused(self):
        sweep = self.write("sweep.toml", SWEEP)
        for amount in ("much", "8GB", "-1G", ""):
            with self.subTest(amount=amount):
                ended = program.run("plan", sweep, "--memory", amount)
                self.assertEqual(ended.returncode, program.MISTAKE)
                self.assertIn("--memory", ended.stderr)


if __name__ == "__main__":
    unittest.main()
