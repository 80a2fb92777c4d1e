"""Sweeps long enough to be disturbed: many points of little work."""


def rectangle(seeds):
    """6 * seeds points of 30 layers."""
    return f"""
[network]
depth = 30
width = 32
[statistics]
preset = "lean"
[sweep]
init.sigma_w = {{ linspace = [0.5, 2.5, 6] }}
seed = {{ range = [0, {seeds}] }}
"""


def deep(seeds):
    """Rows so long that each of two stages writes its own."""
    return rectangle(seeds).replace("depth = 30", "depth = 1100").replace("width = 32", "width = 4\n[data]\nbatch = 1")


def ragged(seeds):
    """The same number of points with twice the seeds, of two depths."""
    return rectangle(seeds // 2).replace("depth = 30\n", "").replace("[sweep]\n", "[sweep]\nnetwork.depth = [20, 30]\n")


def every_kind(seeds):
    """As rectangle(), of every block and normalisation with every statistic."""
    return f"""
[network]
depth = 30
width = 20
[init]
sigma_w = 1.5
sigma_b = 0.1
[data]
batch = 40
[statistics]
preset = "full"
[[zip]]
network.block = ["dense", "residual", "preact_residual", "postact_residual", "dense", "highway", "rnn", "lstm", "gru", "dense"]
network.normalization = ["none", "layer", "batch", "rms", "batch", "none", "none", "none", "none", "rms"]
[sweep]
seed = {{ range = [0, {seeds}] }}
"""
