"""The statistics of a result file, each by its definition in one line of NumPy."""
import numpy as np
import torch

SATURATED = 0.01
HALF_SMALLEST = [2.0 ** -10, 2.0 ** -17, 2.0 ** -25, 2.0 ** -134, 2.0 ** -150, 0.0]  # of the formats, in their order
TOO_LARGE = [np.nextafter(464, 500), 61440, 65520, (2 - 2 ** -8) * 2.0 ** 127, (2 - 2 ** -24) * 2.0 ** 127, np.inf]
LOSS_SCALE = 2.0 ** 16
BINS, PERCENTS, LAGS = np.arange(-40, 9), (1, 5, 25, 50, 75, 95, 99), 2 ** np.arange(8)


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


def middle_of_cell(x):
    """128 cells to an octave."""
    if x == 0:
        return 0.0
    octave = 2.0 ** np.floor(np.log2(abs(x)))
    return np.sign(x) * octave * (1 + (np.floor((abs(x) / octave - 1) * 128) + 0.5) / 128)


def of_magnitudes(v):
    rms, ordered = np.sqrt(np.mean(v ** 2)), np.sort(v, axis=None)
    with np.errstate(divide="ignore"):
        reference = np.floor(np.log2(rms))
    octaves = np.floor(np.log2(np.abs(v[v != 0]))) - reference
    counts = [np.sum(np.clip(octaves, BINS[0], BINS[-1]) == octave) for octave in BINS]
    quantiles = [ordered[-(-percent * v.size // 100) - 1] for percent in PERCENTS]
    scaled = LOSS_SCALE * np.abs(v)
    return {"log2_reference": reference, "log2_histogram": np.array(counts) / v.size,
            "quantile_over_rms": [middle_of_cell(x) / rms if rms > 0 else np.nan for x in quantiles],
            "scaled_underflow_fraction": [np.mean((v != 0) & (scaled <= limit)) for limit in HALF_SMALLEST],
            "overflow_fraction": [np.mean(scaled >= limit) for limit in TOO_LARGE]}


def of_samples(v):
    norms = np.linalg.norm(v, axis=1)
    units = v / np.where(norms > 0, norms, 1)[:, None]
    singular = np.linalg.svd(units, compute_uv=False)
    singular = singular[singular ** 2 > len(singular) * np.finfo(float).eps * singular[0] ** 2]
    largest, shares = singular.max(initial=0), singular / singular.sum()
    lags = [[units[s] @ units[s + lag] for s in range(len(v) - lag) if norms[s] * norms[s + lag] > 0] for lag in LAGS]
    pairs = ((v.sum(0) ** 2).sum() - (v ** 2).sum()) / (len(v) * (len(v) - 1))
    with np.errstate(invalid="ignore"):
        return {"effective_rank": np.exp(-np.sum(shares * np.log(shares))) if largest > 0 else np.nan,
                "stable_rank": np.sum(singular ** 2) / largest ** 2, "common_share": pairs / np.mean(norms ** 2),
                "lag_corr": [np.mean(x) if x else np.nan for x in lags]}


def saturated_fraction(z, slope):
    largest = slope(torch.linspace(-10, 10, 20001)).abs().max()
    return (slope(z).abs() < SATURATED * largest).double().mean().item()


def of_signal(v):
    return {**of_moments(v), **of_norms(v), **of_counts(v), **of_magnitudes(v), **of_samples(v)}


def of_matrix(weight, bias, x, z, batch):
    """Gradients are means over the batch; the noise scale is that of the weights."""
    gradient = weight.grad.numpy() / batch
    samples = (z.grad.numpy() ** 2).sum(1) * (x.detach().numpy() ** 2).sum(1)
    mean_square, own = (gradient ** 2).sum(), (weight.detach().numpy() ** 2).sum()
    figures = {"wgrad_log10_norm": log10(mean_square) / 2, "weight_log10_norm": log10(own) / 2,
               "wgrad_to_weight_log10": (log10(mean_square) - log10(own)) / 2,
               "log10_noise_scale": log10((samples.sum() - batch * mean_square) / (batch - 1) / mean_square)}
    figures["log10_signal_to_noise"] = log10(np.maximum(0, batch / 10 ** figures["log10_noise_scale"] - 1))  # NaN stays
    if bias is not None:
        figures["bgrad_log10_norm"] = log10(np.linalg.norm(bias.grad.numpy() / batch))
    return figures


def of_normalisations(learned, batch):
    """Norms of the gradients of all scales and of all shifts; nothing depends on one that the cotangent passes by."""
    norm = lambda values: log10(sum(float((v.grad ** 2).sum()) for v in values if v.grad is not None) / batch ** 2) / 2
    scales, shifts = zip(*learned)
    return {"norm_scale_grad_log10_norm": norm(scales), "norm_shift_grad_log10_norm": norm(shifts)}


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
    if layer.learned:
        figures.update(of_normalisations(layer.learned, batch))
    for prefix, (weight, bias, x, z) in layer.matrices.items():
        figures.update({prefix + name: value for name, value in of_matrix(weight, bias, x, z, batch).items()})
    return figures
