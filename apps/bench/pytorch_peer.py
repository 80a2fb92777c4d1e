"""What gradflow measures, done in PyTorch: the yardstick of `gradflow_bench --pytorch`.

For each sigma_w: Gaussian weights, one forward and one backward pass, and by hooks the statistics of gradflow's standard
preset for every layer. Prints the mean time per point in seconds; the first point runs once more before, unmeasured.

Best practice: no Python loop over samples or units, everything in place or as one matrix-vector product where that
saves a pass over memory, results stay tensors until the point is done, no graph but the network's own.
"""
import argparse
import math
import time

import torch

# Largest magnitudes that round to zero: half the smallest subnormal of fp8_e4m3, fp8_e5m2, fp16 and bf16. In float32
# nothing that is not zero is below those of fp32 and fp64.
UNDERFLOW = [2.0**-10, 2.0**-17, 2.0**-25, 2.0**-134]


def sizes(x):
    """Mean square, mean and std of the log norms, mean cosine of two samples; the norms."""
    batch = x.shape[0]
    norms = torch.linalg.vector_norm(x, dim=1)
    q = norms.square().mean() / x.shape[1]
    logs = norms.log2()
    direction = norms.reciprocal() @ x
    cosine = (direction.square().sum() - batch) / (batch * (batch - 1))
    return [q, logs.mean(), logs.std(unbiased=False), cosine], norms


def moments(x):
    """Of a signal also mean and variance over mean square."""
    row, norms = sizes(x)
    mean = x.mean()
    return row + [mean * row[0].rsqrt(), 1 - mean * mean / row[0]], norms


class Statistics:
    """One row of numbers per layer and signal, filled by hooks."""

    def __init__(self, network):
        self.preact, self.act, self.dgrad, self.wgrad = {}, {}, {}, {}
        self.input_norms = {}
        linears = [module for module in network if isinstance(module, torch.nn.Linear)]
        activations = [module for module in network if not isinstance(module, torch.nn.Linear)]
        for layer, (linear, phi) in enumerate(zip(linears, activations)):
            linear.register_forward_hook(self.see_preact(layer))
            phi.register_forward_hook(self.see_act(layer))
        self.linears = linears

    def see_preact(self, layer):
        def hook(module, inputs, z):
            with torch.no_grad():
                if layer == 0:
                    self.input_norms[0] = torch.linalg.vector_norm(inputs[0], dim=1)
                self.preact[layer], _ = moments(z)
            if z.requires_grad:
                z.register_hook(self.see_dgrad(layer))

        return hook

    def see_act(self, layer):
        def hook(module, inputs, h):
            with torch.no_grad():
                row, norms = moments(h)
                zero = h == 0
                saturated = h.square() > 0.99  # tanh' = 1 - h^2 < 0.01
                self.act[layer] = row + [zero.float().mean(), zero.all(dim=0).float().mean(), saturated.float().mean()]
                self.input_norms[layer + 1] = norms

        return hook

    def see_dgrad(self, layer):
        def hook(gradient):
            magnitude = gradient.abs()
            row, norms = sizes(gradient)
            elements = gradient.numel()
            zeros = elements - torch.count_nonzero(magnitude)
            underflow = [(torch.count_nonzero(magnitude <= limit) - zeros) / elements for limit in UNDERFLOW]
            dead = (norms == 0).float().mean()
            # sum over samples of |dE_s/dW|^2, for the noise scale
            samples = (norms * self.input_norms[layer]).square().sum()
            self.dgrad[layer] = row + [dead, magnitude.max(), zeros / elements] + underflow + [samples]

        return hook

    def see_weights(self):
        with torch.no_grad():
            for layer, linear in enumerate(self.linears):
                self.wgrad[layer] = [torch.linalg.vector_norm(linear.weight.grad), torch.linalg.vector_norm(linear.weight)]

    def table(self):
        """[layers][statistics]"""
        rows = [self.preact[l] + self.act[l] + self.dgrad[l] + self.wgrad[l] for l in range(len(self.linears))]
        return torch.stack([torch.stack([torch.as_tensor(v, dtype=torch.float32) for v in row]) for row in rows])


def make_network(width, depth):
    layers = []
    for _ in range(depth):
        layers += [torch.nn.utils.skip_init(torch.nn.Linear, width, width, bias=False), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers)


def measure(network, statistics, sigma_w, x, cotangent):
    torch.manual_seed(1)
    width = x.shape[1]
    with torch.no_grad():
        for linear in statistics.linears:
            linear.weight.normal_(std=sigma_w / math.sqrt(width))
            linear.weight.grad = None
    z = network[:-1](x)
    with torch.no_grad():
        network[-1](z)
    z.backward(cotangent)
    statistics.see_weights()
    return statistics.table()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--sigma-w", type=float, nargs="+", required=True)
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    x = torch.randn(args.batch, args.width)
    cotangent = torch.randn(args.batch, args.width)
    network = make_network(args.width, args.depth)
    statistics = Statistics(network)
    measure(network, statistics, args.sigma_w[0], x, cotangent)
    start = time.perf_counter()
    for sigma_w in args.sigma_w:
        measure(network, statistics, sigma_w, x, cotangent)
    print((time.perf_counter() - start) / len(args.sigma_w))


if __name__ == "__main__":
    main()
