"""Every command of the program: what it prints for people, what it prints for programs, what --help teaches."""
import html.parser
import json
import math
import os
import platform
import pty
import re
import resource
import subprocess
import time
import unittest
from pathlib import Path

import h5py
import numpy as np

import program

SWEEP = """
title = "Order to chaos"
[network]
width = 16
depth = 12
activation = "tanh"
[init]
sigma_b = 0.2
[data]
batch = 8
[sweep]
init.sigma_w = [0.8, 1.2, 1.6, 2.0]
seed = { range = [0, 3] }
"""

# 10^12 points of a thousand depths each.
ASTRONOMICAL = SWEEP.replace("depth = 12\n", "").replace("[0.8, 1.2, 1.6, 2.0]", "{ linspace = [0.5, 3, 1000000] }").replace(
    "[0, 3]", "[0, 1000]") + "network.depth = { range = [100, 1100] }\n"

OPTIONS = {
    "plan": ["SWEEP.toml", "--ranks", "--stages", "--microbatches", "--threads", "--bundle", "--schedule", "--memory", "--set", "--json",
             "--latency", "--bandwidth", "--measure-again", "--explain", "--trace"],
    "run": ["SWEEP.toml", "-o,--output", "--stages", "--microbatches", "--threads", "--bundle", "--schedule", "--memory", "--max-time",
            "--set", "--allow-mixed-numerics", "--retry-failed", "--shard", "--trace"],
    "show": ["FILE.h5", "--point", "--json"],
    "report": ["FILE.h5", "-o,--output"],
    "theory": ["SWEEP.toml", "--set", "--critical-line", "--json"],
    "submit": ["SWEEP.toml", "--nodes", "--time", "--cores-per-node", "--dry-run"],
    "list": ["CATALOGUE", "activations", "blocks", "initialisers", "normalizations", "statistics", "schedules", "losses"],
    "status": ["FILE.h5", "--json"],
    "verify": ["FILE.h5", "--json"],
    "merge": ["FILE.h5", "-o,--output", "--prefer", "--allow-mixed-numerics"],
    "finalize": ["FILE.h5", "OUT.h5"],
    "check": ["DIR"],
}

CATALOGUES = {
    "activations": "linear relu leaky_relu tanh hard_tanh sigmoid erf sin softsign arctan elu selu gelu gelu_tanh silu mish "
                   "softplus hard_swish",
    "blocks": "dense residual preact_residual postact_residual highway rnn leaky_rnn gru lstm",
    "normalizations": "none batch layer rms",
    "data": "gaussian orthogonal correlated circle grid zero idx cifar10 hdf5",
    "initialisers": "gaussian uniform truncated_normal truncated_normal_raw orthogonal identity he_normal he_uniform glorot_normal "
                    "glorot_uniform lecun_normal lecun_uniform kaiming_normal kaiming_uniform pytorch_default critical "
                    "random_walk sparse looks_linear mup lsuv fixup deepnorm file",
    "schedules": "gpipe 1f1b zb_h1 streamed_1f1b",
    "losses": "random one_hot mse cross_entropy sum_of_squares",
    "presets": "lean standard full",
    "statistics": "dgrad_log10_norm_mean act_log10_q wgrad_log10_norm dgrad_underflow_fraction",
    "keys": "network.depth init.sigma_w data.batch seed run.precision statistics.layers",
}


class Page(html.parser.HTMLParser):
    """Tags that are open, every id, and everything the page would load from elsewhere."""
    VOID = {"meta", "br", "hr", "img", "input", "link", "col", "wbr"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.mistakes, self.elsewhere = [], [], [], []
        self.feed(text)
        self.close()
        self.mistakes += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.elsewhere += [value for name, value in attributes
                           if name in ("src", "href", "xlink:href") and not re.match(r"#|data:", value)]

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()} while open: {self.open[-3:]}")
        else:
            self.open.pop()


class Commands(program.InFolder):
    def setUp(self):
        super().setUp()
        self.write("sweep.toml", SWEEP)

    def out(self, *arguments, **options):
        ended = program.run(*arguments, **options)
        self.assertEqual(ended.returncode, program.COMPLETE, ended.stderr)
        return ended.stdout

    def test_help_mentions_every_option(self):
        overview = self.out("--help")
        for command, options in OPTIONS.items():
            self.assertRegex(overview, rf"(?m)^  {command}  +\S")
            text = self.out(command, "--help")
            for option in options:
                self.assertIn(option, text, command)
        self.assertRegex(self.out("--version"), r"^\d+\.\d+\.\d+\n$")

    def test_help_is_printed_once_under_mpirun(self):
        self.assertEqual(self.out("run", "--help", ranks=2), self.out("run", "--help"))

    def test_plan_says_what_would_happen(self):
        text = self.out("plan", "sweep.toml", "--ranks", "6", "--stages", "2")
        for line in (r"^Order to chaos", r"axis +init.sigma_w \(4 values\)", r"axis +seed \(3 values\)", r"points +12\b",
                     r"ranks +6 = 3 pipelines of 2 stages", r"schedule +streamed_1f1b", r"memory +about .*per rank",
                     r"result file +about [\d.]+ KiB", r"time +about"):
            self.assertRegex(text, line)
        self.assertEqual([path.name for path in self.folder.glob("*.*")], ["sweep.toml"])

    def test_plan_for_programs(self):
        plan = json.loads(self.out("plan", "sweep.toml", "--ranks", "5", "--stages", "2", "--json"))
        self.assertEqual((plan["points"], plan["ranks"], plan["stages"], plan["groups"]), (12, 5, 2, 3))

        for field in ("seconds", "utilisation", "bytes_per_rank", "file_bytes", "stacked", "latency_seconds"):
            self.assertGreater(plan[field], 0, field)
        self.assertLessEqual(plan["utilisation"], 1)

    def test_plan_explains_its_choice(self):
        plan = json.loads(self.out("plan", "sweep.toml", "--ranks", "4", "--explain", "--json"))
        taken = plan["candidates"][plan["chosen"]]
        self.assertEqual({key: plan[key] for key in ("stages", "microbatches")},
                         {key: taken[key] for key in ("stages", "microbatches")})
        self.assertGreater(len({candidate["stages"] for candidate in plan["candidates"]}), 1)
        self.assertEqual(len(re.findall(r"(?m)^  \* +\d", self.out("plan", "sweep.toml", "--ranks", "4", "--explain"))), 1)

    def test_many_small_points_are_independent(self):
        plan = json.loads(self.out("plan", "sweep.toml", "--set", "seed={range=[0,1000]}", "--ranks", "2", "--threads", "1",
                                   "--json"))
        self.assertEqual((plan["groups"], plan["stages"]), (2, 1))

    def test_theory_predicts_each_configuration_once(self):
        text = self.out("theory", "sweep.toml")
        self.assertEqual(len(re.findall(r"(?m)sigma_w = [\d.]+$", text)), 4)  # three seeds each
        self.assertRegex(text, r"(?m) ordered +attracting +sigma_w = 0.8$")
        self.assertRegex(text, r"(?m) chaotic +attracting +sigma_w = 2.0$")

    def test_theory_for_programs(self):
        # sigma_b^2 = 0.05: chi1 of tanh at sigma_w^2 = 1.25 and 2.5, and the critical sigma_w^2.
        rows = json.loads(self.out("theory", "sweep.toml", "--json", "--set", "init.sigma_b=0.22360679774997896",
                                   "--set", "init.sigma_w=[1.118033988749895, 1.5811388300841898]"))
        self.assertEqual([row["phase"] for row in rows], ["ordered", "chaotic"])
        for row, chi1 in zip(rows, (0.863240, 1.133516)):
            self.assertLess(abs(row["chi1"] - chi1), 1e-6)
            self.assertLess(abs(row["critical_sigma_w"] ** 2 - 1.760955), 1e-6)
            self.assertIsNone(row["log10_norm_per_layer_mean"])  # known for linear and relu only

        relu, = json.loads(self.out("theory", "sweep.toml", "--json", "--set", "network.activation=relu", "--set",
                                    "network.width=100", "--set", "init.sigma_b=0", "--set", "init.sigma_w=[1.4142135623730951]"))
        self.assertEqual((relu["phase"], relu["stability"], relu["xi_grad"]), ("critical", "marginal", "inf"))
        self.assertLess(abs(relu["log10_norm_per_layer_mean"] * 2 * math.log(10) + 0.025421), 1e-6)
        self.assertLess(abs((relu["log10_norm_per_layer_std"] * 2 * math.log(10)) ** 2 - 0.051940), 1e-6)

    def predicted(self, *settings):
        row, = json.loads(self.out("theory", "sweep.toml", "--json", *(word for setting in
                                   ("network.depth=9", "network.width=4", "init.sigma_b=0", *settings) for word in ("--set", setting))))
        return row

    def test_theory_knows_each_kind_of_block(self):
        he = self.predicted("network.activation=relu", "init.sigma_w=[1.4142135623730951]")
        self.assertAlmostEqual(he["dead_network_probability"], 1 - (1 - 2**-4)**8, 14)
        self.assertAlmostEqual(he["isometry_variance"], 8 * 2, 12)  # relu's gates, and gaussian weights
        self.assertIsNone(he["zero_state_direct"])

        # 1 + a^2 per block at sigma_w = 2^(1/4).
        residual = self.predicted("network.activation=relu", "network.block=residual", "init.sigma_w=[1.189207115002721]")
        self.assertAlmostEqual(residual["dgrad_log10_rms_first_layer"], 8 * math.log10(2) / 2, 12)
        self.assertAlmostEqual(residual["act_log10_q_last_layer"], 9 * math.log10(2), 12)
        self.assertIsNone(residual["dead_network_probability"])

        # f I + i o W at the zero state, f = sigmoid(1); no gate depends on what it multiplies.
        lstm = self.predicted("network.block=lstm", "init.sigma_w=[2.0]")
        f = 1 / (1 + math.exp(-1))
        self.assertAlmostEqual(lstm["zero_state_direct"], f, 14)
        self.assertAlmostEqual(lstm["zero_state_feedback"], 0.25, 14)
        self.assertAlmostEqual(lstm["spectral_radius"], f + 0.25 * 2, 14)
        self.assertIsNone(self.predicted("network.block=lstm", "network.input=gaussian", "init.sigma_w=[2.0]")["spectral_radius"])
        self.assertIsNone(lstm["chi1"])

    def test_theory_prints_what_belongs_to_the_blocks_of_the_sweep(self):
        for block, has, lacks in (("dense", "P(dead)", "q last"), ("residual", "q last", "P(dead)"), ("gru", "radius", "chi1")):
            header = self.out("theory", "sweep.toml", "--set", f"network.block={block}").splitlines()[2]
            self.assertIn(has, header)
            self.assertNotIn(lacks, header)

    def test_theory_traces_the_critical_line(self):
        line, = json.loads(self.out("theory", "sweep.toml", "--critical-line", "--json", "--set", "init.sigma_b=[0, 0.5, 1]"))
        self.assertEqual([point["sigma_b"] for point in line["points"]], [0, 0.5, 1])
        self.assertAlmostEqual(line["points"][0]["sigma_w"], 1, 12)
        text = self.out("theory", "sweep.toml", "--critical-line", "--set", 'network.activation=["gelu", "softplus"]')
        self.assertRegex(text, r"half-stable .*sigma_w\^2 = 1.98305826, sigma_b\^2 = 0.17292239")
        self.assertRegex(text, r"(?m)^ +2 +- +- +none$")  # softplus is nowhere critical

    def test_plan_keeps_costs_for_the_next_time(self):
        environment = os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache")}
        cache = self.folder / "cache" / "gradflow" / "costs.json"
        seconds = [json.loads(self.out("plan", "sweep.toml", "--json", env=environment))["seconds"] for _ in range(2)]
        self.assertEqual(*seconds)
        kept = cache.read_text()
        cache.write_text("{ corrupt")
        self.out("plan", "sweep.toml", env=environment)
        self.assertEqual(json.loads(cache.read_text())["machine"], json.loads(kept)["machine"])
        self.out("plan", "sweep.toml", "--measure-again", env=environment)
        self.assertNotEqual(cache.read_text(), kept)

    def test_a_cache_that_cannot_be_written_is_a_note(self):
        (self.folder / "file").touch()
        text = self.out("plan", "sweep.toml", env=os.environ | {"XDG_CACHE_HOME": str(self.folder / "file")})
        self.assertRegex(text, r"note +measured costs are not kept")

    def test_plan_of_a_very_long_pipeline(self):
        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        plan = json.loads(self.out("plan", "sweep.toml", "--set", "network.depth=16384", "--set", "data.batch=1536",
                                   "--set", "seed=1", "--set", "init.sigma_w=1", "--ranks", "16384", "--stages", "16384",
                                   "--microbatches", "48", "--json"))
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start, 10 * program.PATIENCE)
        self.assertEqual((plan["stages"], plan["microbatches"], plan["simulated"]), (16384, 48, True))

    def test_plan_chooses_a_layout_for_4096_ranks(self):
        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        # 12 points are too few for the ranks: deep ones of many microbatches are cut, shallow ones are not.
        for depth, batch, is_cut in ((10_000, 512, True), (12, 8, False)):
            plan = json.loads(self.out("plan", "sweep.toml", "--set", f"network.depth={depth}", "--set", f"data.batch={batch}",
                                       "--ranks", "4096", "--json", "--explain"))
            self.assertEqual(plan["ranks"], 4096)
            self.assertGreater(len(plan["candidates"]), 3)
            self.assertEqual(plan["seconds"], plan["candidates"][plan["chosen"]]["seconds"])
            self.assertGreater(plan["bytes_per_rank"], 0)
            self.assertGreater(plan["file_bytes"], 0)
            self.assertEqual(plan["stages"] > 1, is_cut)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start, 20 * program.PATIENCE)

    def test_more_threads_than_processors_are_noted(self):
        many = 2 * len(os.sched_getaffinity(0))
        note = f"note.*{many} threads per rank, but only \\d+ CPUs for each: it will be slow"
        self.assertRegex(self.out("plan", "sweep.toml", "--threads", many), note)
        self.assertRegex(program.measure("sweep.toml", "out.h5", "--threads", many).stderr, note)

    def test_plan_says_which_batches_stay_whole(self):
        for setting, who in (('network.normalization=["batch"]', "every point takes its batch whole, not in 2"),
                             ('network.normalization=["none", "batch"]', "some points take their batch whole"),
                             ('init.scheme="lsuv"', "every point takes its batch whole"),
                             ('network.block="lstm"', "every point takes its batch whole"),
                             ('network.normalization=["layer"]', None)):
            text = SWEEP.replace("init.sigma_w = [0.8, 1.2, 1.6, 2.0]\n", "") if "lsuv" in setting else SWEEP
            self.write("some.toml", text.replace("batch = 8", "batch = 64"))
            with self.subTest(setting):
                plan = self.out("plan", "some.toml", "--microbatches", "2", "--set", setting)
                self.assertIn(who, plan) if who else self.assertNotIn("whole", plan)
                self.assertNotIn("whole", self.out("plan", "some.toml", "--microbatches", "1", "--set", setting))

    def test_plan_has_the_cost_of_every_preset(self):
        plan = json.loads(self.out("plan", "sweep.toml", "--json"))
        listed = re.findall(r"(?m)^  (\w+)", self.out("list", "presets"))
        self.assertEqual(set(plan["presets"]), set(listed))
        planned = [plan["presets"][preset]["bytes_per_point"] for preset in listed]
        self.assertEqual(planned, sorted(planned))
        self.assertLess(plan["presets"]["lean"]["seconds_per_point"], plan["presets"]["full"]["seconds_per_point"])
        self.assertRegex(self.out("plan", "sweep.toml"),
                         r"presets +lean: \S+ \w+ and \S+ \w+ per point\n +standard: .* per point\n +full: .* per point\n")

    def test_plan_refuses_impossible_networks_and_ranks(self):
        for option, value in (("--latency", "-1us"), ("--latency", "2"), ("--latency", "2 minutes"), ("--bandwidth", "0GB/s"),
                              ("--bandwidth", "10GB"), ("--ranks", "0")):
            with self.subTest(option, value=value):
                ended = program.run("plan", "sweep.toml", f"{option}={value}")
                self.assertEqual(ended.returncode, program.MISTAKE)
                self.assertIn(option, ended.stderr)
                self.assertIn(value, ended.stderr)
                self.assertEqual(ended.stdout, "")

    def test_plan_under_mpirun_is_for_its_ranks(self):
        plan = json.loads(self.out("plan", "sweep.toml", "--stages", "3", "--json", ranks=3))
        self.assertEqual((plan["ranks"], plan["stages"]), (3, 3))

    def test_plan_predicts_the_size_of_the_file(self):
        for depth in ("network.depth=200", "network.depth=[150, 250]"):
            with self.subTest(depth):
                plan = json.loads(self.out("plan", "sweep.toml", "--set", depth, "--json"))
                program.measure("sweep.toml", "out.h5", "--set", depth)
                # Beside the measurements: the names and attributes of every variable and the ring of launches.
                with h5py.File("out.h5") as file:
                    measured = sum(variable.id.get_storage_size() for name, variable in file.items()
                                   if not name.startswith("launch"))
                self.assertLess(abs(plan["file_bytes"] / measured - 1), 0.05)
                (self.folder / "out.h5").unlink()

    def test_plan_answers_any_size_at_once(self):
        self.write("large.toml", ASTRONOMICAL)
        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime  # processor time: the machine may be busy
        plan = json.loads(self.out("plan", "large.toml", "--json"))
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start, 10 * program.PATIENCE)
        self.assertEqual(plan["points"], 10**12)
        # The mean depth is 599.5, and a row takes 8 bytes for each of at least 30 statistics.
        self.assertGreater(plan["file_bytes"], 599 * 30 * 8 * 1e12)

        ended = program.run("run", "large.toml", "-o", "out.h5")
        self.assertEqual(ended.returncode, program.MISTAKE)
        self.assertIn("1000000000000 points", ended.stderr)

    def test_trace_shows_what_every_rank_did(self):
        for ranks, groups in ((2, 1), (3, 2)):
            with self.subTest(ranks=ranks):
                program.measure("sweep.toml", f"{ranks}.h5", "--stages", "2", "--bundle", "1", "--trace", "trace.json", ranks=ranks)
                trace = json.loads((self.folder / "trace.json").read_text())
                events = trace["traceEvents"]
                self.assertEqual({event["tid"] for event in events}, set(range(ranks)))
                self.assertEqual({event["pid"] for event in events}, set(range(groups)))
                self.assertEqual(trace["otherData"]["dropped_events"], 0)
                self.assertTrue(any(event["name"] == "commit" for event in events))
                # 12 points of one microbatch, each measured by one group: by 2 stages, or alone in the smaller group.
                for name in ("forward", "backward", "weight"):
                    passes = [(event["pid"], event["tid"], event["args"]["points"][0]) for event in events if event["name"] == name]
                    self.assertEqual(len(passes), len(set(passes)))
                    stages = {point: {tid for _, tid, k in passes if k == point} for point in range(12)}
                    self.assertTrue(all(tids in ({0, 1}, {2}) for tids in stages.values()), stages)
                for rank in range(ranks):
                    self.assert_one_thing_at_a_time([e for e in events if e["tid"] == rank and e["name"] != "commit"])

    def test_trace_of_a_plan_is_what_the_run_then_does(self):
        for schedule in ("streamed_1f1b", "zb_h1"):
            layout = ["--stages", "2", "--bundle", "1", "--microbatches", "2", "--schedule", schedule]
            options = [*layout, "--set", "data.batch=64", "--trace"]
            with self.subTest(schedule):
                self.out("plan", "sweep.toml", "--ranks", "2", *options, "planned.json")
                program.measure("sweep.toml", f"{schedule}.h5", *options, "done.json", ranks=2)
                planned, done = (json.loads((self.folder / name).read_text()) for name in ("planned.json", "done.json"))
                self.assertEqual(set(planned), set(done))
                events = planned["traceEvents"]
                for rank in (0, 1):
                    of_rank = [e for e in events if e["tid"] == rank]
                    self.assert_one_thing_at_a_time(of_rank)
                    for name in ("forward", "backward", "weight"):
                        order = [[e["args"]["microbatch"] for e in trace["traceEvents"] if (e["tid"], e["name"]) == (rank, name)]
                                 for trace in (planned, done)]
                        self.assertEqual(order[0], [0, 1] * 12)
                        self.assertEqual(order[1], order[0])
                        self.assertTrue(all(e["dur"] > 0 for e in of_rank if e["name"] == name))
                self.assertEqual(set(events[0]), {"ph", "name", "pid", "tid", "ts", "dur", "args"})

    def assert_one_thing_at_a_time(self, events):
        spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events)
        for (_, end), (start, _) in zip(spans, spans[1:]):
            self.assertLessEqual(end, start + 1e-3)  # microseconds, rounded

    def test_list_names_every_catalogue(self):
        everything = self.out("list")
        for catalogue, names in CATALOGUES.items():
            text = self.out("list", catalogue)
            self.assertIn(text.strip(), everything)
            for name in names.split():
                self.assertRegex(text, rf"(?m)^  {re.escape(name)} +\S", catalogue)

    def test_check_answers_for_this_machine(self):
        (self.folder / "results").mkdir()
        host, cpus = re.escape(platform.node()), len(os.sched_getaffinity(0))
        version = self.out("--version").strip()
        for ranks in (1, 2, 3):
            with self.subTest(ranks=ranks):
                text = self.out("check", "results", ranks=ranks)
                for line in (rf"gradflow_version +{re.escape(version)}", r"gradflow_commit +\S+", r"compiler +\S+ \d+\.\d+\S*",
                             r"mpi_version +\S.* v\d+\.\d+\.\d+", r"hdf5_version +\d+\.\d+\.\d+", r"openblas_version +OpenBLAS \d+\.\d+\S*",
                             r"tbb_version +\d+\.\d+\S*", r"BLAS build +pthread, one thread per call",
                             rf"numerics +gradflow {re.escape(version)}; OpenBLAS \S+ on \w+; .+",
                             rf"MPI +{ranks} ranks, {ranks} on this host",
                             rf"parallel HDF5 +{ranks} ranks wrote and read each other's rows in results: right",
                             r"locks +a second writer is kept out"):
                    self.assertRegex(text, rf"(?m)^  {line}$")
                self.assertEqual(re.findall(rf"(?m)^  rank (\d+) +{host}: {cpus} CPUs in its mask$", text), [*map(str, range(ranks))])
                drift = re.search(r"(?m)^  known answer +orthogonal .* norms to (\S+) \(allowed 1e-12\): right$", text)
                self.assertTrue(0 < float(drift[1]) < 1e-12, text)  # some rounding there must be in 24 products
                self.assertEqual(list((self.folder / "results").iterdir()), [])

    def test_check_sees_what_a_rank_may_use(self):
        one = min(os.sched_getaffinity(0))
        text = subprocess.run(["taskset", "-c", str(one), program.GRADFLOW, "check", "."], check=True, capture_output=True, text=True)
        self.assertRegex(text.stdout, r"(?m)^  rank 0 .*: 1 CPUs in its mask$")

    def test_verify_names_the_point_that_is_torn(self):
        program.measure("sweep.toml", "out.h5")
        self.assertEqual(json.loads(self.out("verify", "--json", "out.h5"))["torn"], [])
        with h5py.File("out.h5", "r+") as file:
            bits = file["dgrad_log10_rms"][()].view(np.uint64)
            bits[2, 1] ^= np.uint64(1)
            file["dgrad_log10_rms"][...] = bits.view(np.float64)

        for option in ([], ["--json"]):
            ended = program.run("verify", *option, "out.h5")
            self.assertEqual(ended.returncode, program.FAILED, ended.stderr)
        self.assertEqual(json.loads(ended.stdout)["torn"], [2])
        self.assertRegex(program.run("verify", "out.h5").stdout, r"(?m)^.*point 2\b.*torn|torn.*\b2\b")

    def test_verify_counts_what_is_complete(self):
        program.measure("sweep.toml", "out.h5")
        self.assertEqual(self.out("verify", "out.h5"), "out.h5: 12 of 12 points done and intact\n")
        self.assertEqual(json.loads(self.out("verify", "--json", "out.h5")),
                         {"points": 12, "done": 12, "failed": 0, "not_done": 0, "torn": [], "complete": True})
        with h5py.File("out.h5", "r+") as file:
            file["status"][3:5] = 0
            file["status"][7] = 2
            file["checksum"][8] += np.uint64(1)

        text, numbers = (program.run("verify", *option, "out.h5") for option in ([], ["--json"]))
        self.assertEqual((text.returncode, numbers.returncode), (program.FAILED, program.FAILED))
        found = json.loads(numbers.stdout)
        self.assertEqual(found["points"], 12)
        self.assertEqual((found["not_done"], found["complete"]), (2, False))
        self.assertIn(8, found["torn"])
        self.assertEqual(found["done"] + found["failed"] + found["not_done"] + len(found["torn"]), 12)
        self.assertRegex(text.stdout, rf"^out.h5: {found['done']} of 12 points done and intact.*, 2 not done\n")

    def test_weights_of_zero_are_a_configuration_like_any_other(self):
        program.measure("sweep.toml", "out.h5", "--set", "init.sigma_w=[1, 0, 2]", "--set", "seed=0")
        with h5py.File("out.h5") as file:
            self.assertEqual(list(file["status"]), [1, 1, 1])
            self.assertEqual(file["theory_chi1"][1], 0)
            self.assertAlmostEqual(file["theory_fixed_point_q"][1], 0.2**2)  # what is left are the biases
            self.assertTrue(file["theory_chi1"][0] < 1 < file["theory_chi1"][2])

    def test_show_has_one_line_for_each_configuration(self):
        program.measure("sweep.toml", "out.h5")
        text = self.out("show", "out.h5")
        self.assertIn("Order to chaos", text)
        for sigma_w in ("0.8", "1.2", "1.6"):
            self.assertRegex(text, rf"(?m)^.*\b{re.escape(sigma_w)}\b")

    def test_show_of_one_point_has_one_line_for_each_layer(self):
        program.measure("sweep.toml", "out.h5")
        text = self.out("show", "out.h5", "--point", "5")
        for layer in range(1, 13):
            self.assertRegex(text, rf"(?m)^\W*{layer}\b")
        ended = program.run("show", "out.h5", "--point", "12")
        self.assertEqual(ended.returncode, program.MISTAKE)
        self.assertIn("12", ended.stderr)

    def test_show_for_programs(self):
        program.measure("sweep.toml", "out.h5")
        self.assertTrue(json.loads(self.out("show", "out.h5", "--json")))
        self.assertTrue(json.loads(self.out("show", "out.h5", "--point", "0", "--json")))

    def test_show_of_a_file_with_missing_points(self):
        ended = program.run("run", "sweep.toml", "-o", "out.h5", "--max-time", "0s")
        self.assertEqual(ended.returncode, program.RESUMABLE)
        self.assertTrue(self.out("show", "out.h5"))
        self.out("report", "out.h5", "-o", "out.html")

    def test_report_is_one_well_formed_page_without_anything_from_elsewhere(self):
        program.measure("sweep.toml", "out.h5")
        self.out("report", "out.h5", "-o", "out.html")
        text = (self.folder / "out.html").read_text()
        self.assertTrue(text.lower().startswith("<!doctype html>"))
        page = Page(text)
        self.assertEqual(page.mistakes, [])
        self.assertEqual(page.elsewhere, [])
        self.assertIn("svg", page.tags)
        self.assertIn("table", page.tags)
        self.assertIn("Order to chaos", text)
        # The one address a page may name without loading it is the name of the SVG language.
        self.assertEqual(set(re.findall(r"https?://[^\s\"'<)]*", text)) - {"http://www.w3.org/2000/svg"}, set())

    def test_report_keeps_zipped_activations_apart(self):
        walk = Path(__file__).parents[2] / "jobs" / "sweeps" / "random_walk.toml"
        program.measure(walk, "out.h5", "--set", "network.depth=60", "--set", "seed=0", "--set", "statistics.layers=all")
        self.out("report", "out.h5", "-o", "out.html")
        text = (self.folder / "out.html").read_text()
        for title in ("activation = linear, critical sigma_w = 1", "activation = relu, critical sigma_w = 1.414"):
            self.assertIn(f">{title}<", text)

    def test_report_of_nothing_that_can_be_read(self):
        self.write("notes.h5", "my notes")
        ended = program.run("report", "notes.h5", "-o", "out.html")
        self.assertEqual(ended.returncode, program.MISTAKE)
        self.assertIn("notes.h5 is not a gradflow result file", ended.stderr)
        self.assertFalse((self.folder / "out.html").exists())

    def on_a_terminal(self, *arguments):
        """What a run writes on a terminal, with the seconds since its start."""
        ours, its = pty.openpty()
        start = time.monotonic()
        process = subprocess.Popen([program.GRADFLOW, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its)
        os.close(its)
        written = []
        while True:
            try:
                text = os.read(ours, 4096)
            except OSError:  # the terminal has nobody left
                break
            written.append((time.monotonic() - start, text.decode()))
        os.close(ours)
        self.assertEqual(process.wait(), program.COMPLETE, written)
        return written

    def test_progress_on_a_terminal_is_one_line_with_rate_and_time_left(self):
        longer = SWEEP.replace("width = 16", "width = 128").replace("batch = 8", "batch = 64").replace("[0, 3]", "[0, 500]")
        self.write("sweep.toml", longer)
        shown = re.compile(r"^\033\[K(\d+) / 2000 points \((\S+) %\)(?:, (\S+) points/s, (\S+) (ms|s|min.*) left)?$")
        seen = []
        for seconds, text in self.on_a_terminal("run", "sweep.toml", "-o", "out.h5", "--threads", "1"):
            for line in text.split("\r"):
                found = shown.search(line.strip("\n"))
                if found:
                    seen.append((seconds, *found.groups()))
        self.assertEqual(seen[0][1:], ("0", "0.0", None, None, None))
        self.assertEqual(seen[-1][1:3], ("2000", "100.0"))
        finished = [int(line[1]) for line in seen]
        self.assertEqual(finished, sorted(finished))
        told = [line for line in seen if line[3]]
        self.assertGreater(len(told), 1, seen)
        for seconds, done, percent, rate, left, unit in told:
            done, rate = int(done), float(rate)
            self.assertAlmostEqual(float(percent), done / 20, delta=0.051)
            # The run is younger than the process, which spent some time before; the rate has three digits.
            self.assertGreaterEqual(rate * seconds, 0.99 * done)
            if unit == "s":
                self.assertAlmostEqual(float(left), (2000 - done) / rate, delta=0.06 + 0.006 * float(left))

    def test_progress_in_a_batch_log_is_plain_lines(self):
        ended = program.measure("sweep.toml", "out.h5", ranks=2)
        self.assertNotIn("\r", ended.stderr)
        self.assertNotIn("\033", ended.stderr)
        self.assertRegex(ended.stderr, r"(?m)^12 / 12 points \(100\.0 %\)")
        self.assertEqual(ended.stderr.count("12 of 12 points done"), 1)
        lines = [line for line in ended.stderr.splitlines() if " / 12 points" in line]
        self.assertEqual(lines[0], "0 / 12 points (0.0 %)")
        self.assertRegex(lines[-1], r"^12 / 12 points \(100\.0 %\), \S+ points/s, 0 ms left$")
        self.assertEqual(len(lines), 2)
        again = program.measure("sweep.toml", "out.h5", ranks=2)
        self.assertEqual([line for line in again.stderr.splitlines() if " / 12 points" in line], ["12 / 12 points (100.0 %)"])


if __name__ == "__main__":
    unittest.main()
