"""The statistics of a result file, each by its definition in one line of NumPy."""
import numpy as np
import torch

SATURATED = 0.01
HALF_SMALLEST = [2.0 ** -10, 2.0 ** -17, 2.0 ** -25, 2.0 ** -134, 2.0 ** -150, 0.0]  # of the formats, in their order


def log10(x):
    with np.errstate(divide="ignore"):
        return np.log10(x)


def mean_cosine(v):
    """Over unordered pairs of samples of nonzero norm."""
    norms = np.linalg.norm(v, axis=1)
    units = v[norms > 0] / norms[norms > 0, None]
    cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
    return cosines.mean() if len(cosines) else np.nan


def of_moments(v):
    square = np.mean(v ** 2)
    m2, m3, m4 = (np.mean((v - v.mean()) ** k) for k in (2, 3, 4))
    return {"log10_q": log10(square), "mean_over_rms": v.mean() / np.sqrt(square), "var_over_q": m2 / square,
            "skewness": m3 / m2 ** 1.5, "kurtosis": m4 / m2 ** 2, "min_over_rms": v.min() / np.sqrt(square),
            "max_over_rms": v.max() / np.sqrt(square), "log10_rms": log10(square) / 2, "mean": v.mean(),
            "log10_absmax": log10(np.abs(v).max())}


def of_norms(v):
    norms = np.linalg.norm(v, axis=1)
    logs = np.log10(norms[norms > 0])
    return {"log10_norm_mean": logs.mean() if len(logs) else -np.inf, "log10_norm_std": logs.std() if len(logs) else np.nan,
            "dead_sample_fraction": np.mean(norms == 0), "corr": mean_cosine(v)}


def of_counts(v):
    return {"zero_fraction": np.mean(v == 0), "dead_fraction": np.mean((v == 0).all(axis=0)),
            "underflow_fraction": [np.mean((v != 0) & (np.abs(v) <= limit)) for limit in HALF_SMALLEST]}


def saturated_fraction(z, slope):
    largest = slope(torch.linspace(-10, 10, 20001)).abs().max()
    return (slope(z).abs() < SATURATED * largest).double().mean().item()


def of_signal(v):
    return {**of_moments(v), **of_norms(v), **of_counts(v)}


def of_matrix(weight, bias, x, z, batch):
    """Gradients are means over the batch; the noise scale is that of the weights."""
    gradient = weight.grad.numpy() / batch
    samples = (z.grad.numpy() ** 2).sum(1) * (x.detach().numpy() ** 2).sum(1)
    mean_square, own = (gradient ** 2).sum(), (weight.detach().numpy() ** 2).sum()
    figures = {"wgrad_log10_norm": log10(mean_square) / 2, "weight_log10_norm": log10(own) / 2,
               "wgrad_to_weight_log10": (log10(mean_square) - log10(own)) / 2,
               "log10_noise_scale": log10((samples.sum() - batch * mean_square) / (batch - 1) / mean_square)}
    if bias is not None:
        figures["bgrad_log10_norm"] = log10(np.linalg.norm(bias.grad.numpy() / batch))
    return figures


def of_layer(layer, batch):
    """Every statistic of one layer by the name of its variable."""
    figures = {}
    for name, signal in layer.signals.items():
        figures.update({f"{name}_{figure}": value for figure, value in of_signal(signal.detach().numpy()).items()})
    for name, signal in layer.gradients.items():
        gradient = layer.signals[signal].grad.numpy()
        figures.update({f"{name}_{figure}": value for figure, value in of_signal(gradient).items()})
        figures[f"{name}_lost_fraction"] = 0
    for name in layer.signals:
        figures[f"{name}_saturated_fraction"] = 0  # of a stream, which no activation has made
    for name, (z, slope) in layer.saturation.items():
        figures[f"{name}_saturated_fraction"] = saturated_fraction(z, slope)
    for prefix, (weight, bias, x, z) in layer.matrices.items():
        figures.update({prefix + name: value for name, value in of_matrix(weight, bias, x, z, batch).items()})
    return figures
