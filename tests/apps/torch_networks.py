"""Every kind of block written down a second time, for PyTorch: plain float64 tensors, gradients by autograd.

Nothing here is taken from gradflow but a file of `gradflow export --with-data`: weights, inputs, cotangents or
targets, and the constants in its attributes.
"""
import math

import h5py
import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def erf_gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


# With the parameter of those that have one.
ACTIVATIONS = {
    "linear": lambda x, _: x * 1,
    "relu": lambda x, _: torch.relu(x),
    "leaky_relu": lambda x, slope: torch.where(x > 0, x, slope * x),
    "tanh": lambda x, _: torch.tanh(x),
    "hard_tanh": lambda x, _: torch.nn.functional.hardtanh(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "erf": lambda x, _: torch.erf(x),
    "sin": lambda x, _: torch.sin(x),
    "softsign": lambda x, _: x / (1 + x.abs()),
    "arctan": lambda x, _: torch.atan(x),
    "elu": lambda x, alpha: torch.nn.functional.elu(x, alpha),
    "selu": lambda x, _: torch.selu(x),
    "gelu": lambda x, _: erf_gelu(x),
    "gelu_tanh": lambda x, _: x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))) / 2,
    "silu": lambda x, _: torch.nn.functional.silu(x),
    "mish": lambda x, _: x * torch.tanh(torch.log1p(torch.exp(x))),
    "softplus": lambda x, _: torch.log1p(torch.exp(x)),
    "hard_swish": lambda x, _: torch.nn.functional.hardswish(x),
}


class Point:
    """An exported point."""

    def __init__(self, path):
        with h5py.File(path) as file:
            self.attributes = {name: value.decode() if isinstance(value, bytes) else value
                               for name, value in file.attrs.items()}
            self.arrays = {}
            file.visititems(lambda name, item: self.arrays.update({name: item[()]})
                            if isinstance(item, h5py.Dataset) else None)

    def __getitem__(self, attribute):
        return self.attributes[attribute]

    def tensor(self, name):
        return torch.tensor(self.arrays[name]) if name in self.arrays else None

    def phi(self, x):
        return ACTIVATIONS[self["activation"]](x, self["activation_parameter"])

    def slope(self, x):
        """phi'(x), elementwise."""
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(self.phi(leaf).sum(), leaf)[0]

    def normalised(self, z, position):
        kind = self["normalization"]
        if kind == "none" or self["normalization_position"] != position:
            return z
        over = 0 if kind == "batch" else 1
        mean = 0 if kind == "rms" else z.mean(over, keepdim=True)
        variance = ((z - mean) ** 2).mean(over, keepdim=True)
        unit = (z - mean) / torch.sqrt(variance + self["normalization_epsilon"])
        scale, shift = (torch.full((z.shape[1],), float(self[f"normalization_{name}"]), dtype=z.dtype, requires_grad=True)
                        for name in ("scale", "shift"))
        self.learned.append((scale, shift))
        return scale * unit + shift


class Layer:
    """One layer on its way: its signals by the names of their variables, its matrices with what they multiply."""

    def __init__(self, point, number, gates=1):
        self.point = point
        self.number = number
        self.gates = gates
        self.signals = {}
        self.gradients = {}    # of which signal each gradient is
        self.saturation = {}   # the preactivation and the slope of phi that count for a signal
        self.matrices = {}
        self.learned = point.learned = []  # scales and shifts of its normalisations

    def show(self, name, signal):
        signal.retain_grad()
        self.signals[name] = signal
        return signal

    def product(self, prefix, x):
        """W x + b, with weights of this layer alone: of a step in time, its own copy."""
        weight = self.point.tensor(f"layer_{self.number}/{prefix}weight").requires_grad_()
        bias = self.point.tensor(f"layer_{self.number}/{prefix}bias")
        z = x @ weight.T
        if bias is not None:
            z = z + bias.requires_grad_()
        z.retain_grad()
        self.matrices[prefix] = (weight, bias, x, z)
        return z

    def activation(self, z, counts_for=None):
        """phi with its normalisation."""
        z = self.point.normalised(z, "before")
        if counts_for:
            self.saturation.setdefault(counts_for, (z, self.point.slope))  # of the first activation of a branch
        h = self.point.phi(z)
        return h, self.point.normalised(h, "after")

    def gate(self, name, u):
        self.saturation[f"gate_{name}"] = (u, lambda x: torch.sigmoid(x) * torch.sigmoid(-x))
        return self.show(f"gate_{name}", torch.sigmoid(u))


def dense(layer, x):
    z = layer.show("preact", layer.product("", x))
    _, h = layer.activation(z, "act")
    layer.gradients["dgrad"] = "preact"
    return layer.show("act", h)


def branch_of(layer, x):
    """The residual branch F, in the order of its block's name."""
    point, block = layer.point, layer.point["block"]
    x = point.normalised(x, "pre")
    pairs = 1 if block == "residual" else int(point["branch_layers"])
    steps = ["product", "activation"] if block != "preact_residual" else ["activation", "product"]
    steps = steps * pairs + (["product"] if block == "residual" else [])
    prefixes = iter(["", "second_"])
    shown = 0
    for step in steps:
        if step == "product":
            prefix = next(prefixes)
            x = layer.product(prefix, x)
            if prefix == "":
                layer.show("branch_preact", x)
        else:
            h, x = layer.activation(x, "branch_act")
            if shown == 0:
                layer.show("branch_act", h)
            shown += 1
    return x


def residual(layer, x):
    point = layer.point
    f = layer.show("branch_output", branch_of(layer, x) * 1)
    y = point.normalised(point["skip_scale"] * x + point["branch_scale"] * f, "post")
    layer.gradients.update(dgrad="act", branch_dgrad="branch_preact")
    return layer.show("act", y)


def highway(layer, x):
    z = layer.show("branch_preact", layer.product("", x))
    t = layer.gate("transform", layer.product("transform_", x) + layer.point["transform_bias"])
    h = layer.show("branch_act", layer.activation(z, "branch_act")[0])
    layer.gradients.update(dgrad="act", branch_dgrad="branch_preact")
    return layer.show("act", t * h + (1 - t) * x)


def products_of_step(layer, h, x):
    """W h + b and W_x x_t, gate by gate."""
    of_state = layer.product("", h).chunk(layer.gates, 1)
    if x is None:
        return of_state, [0] * layer.gates
    return of_state, layer.product("input_", x).chunk(layer.gates, 1)


def rnn(layer, state, x):
    (a,), (u,) = products_of_step(layer, state[0], x)
    z = layer.show("preact", a + u)
    layer.gradients["dgrad"] = "preact"
    return [layer.show("act", layer.activation(z, "act")[0])]


def leaky_rnn(layer, state, x):
    leak = layer.point["leak"]
    (a,), (u,) = products_of_step(layer, state[0], x)
    z = layer.show("branch_preact", a + u)
    h = layer.show("branch_act", layer.activation(z, "branch_act")[0])
    layer.gradients.update(dgrad="act", branch_dgrad="branch_preact")
    return [layer.show("act", (1 - leak) * state[0] + leak * h)]


def gru(layer, state, x):
    a, b = products_of_step(layer, state[0], x)
    u = layer.gate("update", a[1] + b[1])
    r = layer.gate("reset", a[2] + b[2])
    n = layer.activation(r * a[0] + b[0], "act")[0]
    layer.gradients["dgrad"] = "act"
    return [layer.show("act", (1 - u) * n + u * state[0])]


def lstm(layer, state, x):
    h, c = state
    a, b = products_of_step(layer, h, x)
    biases = layer.point.tensor(f"layer_{layer.number}/gate_bias").chunk(layer.gates)
    z = [p + q + bias for p, q, bias in zip(a, b, biases)]
    i = layer.gate("input", z[1])
    o = layer.gate("output", z[2])
    f = layer.gate("forget", z[3]) if layer.gates == 4 else 1
    c = layer.show("cell_act", f * c + i * layer.point.phi(z[0]))
    layer.saturation["act"] = (c, layer.point.slope)
    layer.gradients.update(dgrad="act", cell_dgrad="cell_act")
    return [layer.show("act", o * layer.point.phi(c)), c]


FEED_FORWARD = {"dense": dense, "residual": residual, "preact_residual": residual, "postact_residual": residual,
                "highway": highway}
STEPS_IN_TIME = {"rnn": rnn, "leaky_rnn": leaky_rnn, "gru": gru, "lstm": lstm}


def forward(point):
    """The layers of a point with all their signals."""
    x = point.tensor("data/input").requires_grad_()
    layers = []
    if point["block"] in FEED_FORWARD:
        for number in range(1, int(point["depth"]) + 1):
            layers.append(Layer(point, number))
            x = FEED_FORWARD[point["block"]](layers[-1], x)
        return layers
    levels = int(point["stack"])
    signals = 2 if point["block"] == "lstm" else 1
    states = [[torch.zeros_like(x) for _ in range(signals)] for _ in range(levels)]
    states[0][0] = x
    inputs = point.tensor("data/step_input")
    gates = len(point.attributes.get("gates", [0]))
    for step in range(int(point["depth"]) // levels):
        below = None if inputs is None else inputs[step]
        for level in range(levels):
            layers.append(Layer(point, level + 1, gates))
            states[level] = STEPS_IN_TIME[point["block"]](layers[-1], states[level], below)
            below = states[level][0]
    return layers


def loss(point, last):
    """The sum over samples of E_s; without a loss the product with the cotangent, whose gradient it is."""
    output = last.signals["act"]
    entry = last.signals["preact"] if point["cotangent_enters"] == "preactivation" else output
    if point["loss"] == "mse":
        return ((output - point.tensor("data/target")) ** 2).sum() / 2
    if point["loss"] == "sum_of_squares":
        return (output ** 2).sum() / 2
    if point["loss"] == "cross_entropy":
        labels = torch.tensor(point.arrays["data/label"].astype(np.int64))
        return torch.nn.functional.cross_entropy(entry, labels, reduction="sum")
    return (entry * point.tensor("data/cotangent")).sum()
