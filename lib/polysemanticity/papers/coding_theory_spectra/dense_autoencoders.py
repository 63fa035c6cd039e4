"""Small autoencoders, many at once: CT-14 to CT-18, the paper's open questions that need many networks.

Two kinds. `on_photographs`: grey patches through two hidden layers to a narrow code and back through one, noise in the
encoder as in the paper. `on_features`: independent sparse features through one hidden layer with more units than
features, so that it can be said how many features a unit answers to. No batch norm, hence no variance shift.
Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p the dropout rate, m the width of the hidden layers.
"""

from math import inf

import numpy as np
import torch
from scipy import stats

from polysemanticity import spectra
from polysemanticity.base import streams
from polysemanticity.claims import Claim, Estimate
from polysemanticity.networks import data, perceptrons

SIDE = 12  # pixels of a patch
CODE = 32  # units of the linear code in the middle
LAYERS = ("enc1", "enc2", "dec1")  # the hidden layers, all of width m; the code is not among them
NONLINEAR = tuple(name for name in perceptrons.ACTIVATIONS if name != "identity")
DECADE, NARROW = (3, 32), (3, 16)  # fitted ranks; the narrow window fits into 64 units
PROBES_PER_UNIT = 10  # n/m of every spectrum
NOISE, ATTACK = 0.1, 4 / 255  # damage of inputs in [0, 1], as in the vision family
N_FEATURES, HIDDEN, DENSITY = 64, 128, 0.05
BITS = 8  # of a pixel: the precision n in a(D) = 2nD / log2(m/e)
_SOURCE = "Marshall & Kirchner 2024"

FIGURES = {
    "figx_activations": "Exponent and linear decodability of autoencoders with five activation functions, without and "
    "with dropout, and the effect of dropout on each.",
    "figx_widths": "Exponent against the width of the layers, without and with dropout, one panel per layer.",
    "figx_noise_needed": "Features per unit, share of units with a twin, and exponent against held-out loss while "
    "autoencoders learn without noise, with dropout, with Gaussian noise and with weight decay.",
    "figx_generalisation": "Ranks of held-out loss, of the loss that noise adds and of that which an attack adds, "
    "against the rank of the exponent, over all networks at equal training loss.",
    "figx_slope_prediction": "Change of the exponent with dropout, measured in two families of networks, beside the "
    "prediction 2n/log2(m/e).",
}

CLAIMS: dict[str, Claim] = {
    "CT-14": Claim(
        id="CT-14",
        claim="Dropout changes the exponent in the same direction whatever the nonlinearity",
        source=f"{_SOURCE}, open question 2",
        paper="open question; only ReLU networks are shown, where dropout is said to steepen spectra",
        rule={
            f"effect × sign of the others', {name}": (0.0, inf)
            for name in perceptrons.ACTIVATIONS
            if name != "identity"
        },
        reason="Effect: exponent at p = 0.4 less that at 0, mean over three hidden layers, paired by seed; "
        "multiplied by the sign of the mean effect of the other three nonlinearities, so that all four must agree "
        "and each must exclude 0. The direction itself is not part of this rule (it is CT-05's). Blind.",
    ),
    "CT-15": Claim(
        id="CT-15",
        claim="The exponent does not depend on the size of the network",
        source=f"{_SOURCE}, open question 3",
        paper="open question; no numbers",
        rule={f"exponent per decade of width, p = {rate:g}": (-0.1, 0.1) for rate in (0.0, 0.4)},
        reason="0.1 per decade of width is what one could not see between GPT-2 small and XL. Regression on log10 "
        "width with a constant per seed, mean over three hidden layers; n/m = 10 and ranks 3 to 16 at every width, "
        "so that neither sampling nor the window changes with it (16 is a quarter of the narrowest layer: under a "
        "decade). Blind.",
    ),
    "CT-16": Claim(
        id="CT-16",
        claim="Noise in training is needed for polysemantic, redundant codes",
        source=f"{_SOURCE}, check 1 (without dropout)",
        paper="training noise is what makes redundancy pay; with more neurons than features a monosemantic code "
        "suffices",
        rule={
            "features per unit, dropout less none": (0.0, inf),
            "features per unit, Gaussian noise less none": (0.0, inf),
            "exponent, dropout less none": (0.0, inf),
        },
        reason="Polysemanticity index: the effective number of features a unit answers to, exp of the entropy of its "
        "squared answers to single features, mean over live units. Compared at equal loss: the network without noise "
        "is taken at the step of its training where its clean held-out loss is that which the noisy one ends with. "
        "Gaussian noise multiplies activity with dropout's variance, as additive noise could be outgrown; weight "
        "decay is a control. More units (128) than features (64). Signs only: the paper gives directions. Blind.",
    ),
    "CT-17": Claim(
        id="CT-17",
        claim="Steeper spectra go with better generalisation and robustness",
        source=f"{_SOURCE}, open questions (generalisation)",
        paper="suggested; no numbers",
        rule={
            "rank correlation of a with held-out loss": (-inf, 0.0),
            "with the loss that noise adds": (-inf, 0.0),
            "with the loss that an attack adds": (-inf, 0.0),
        },
        reason="Spearman correlation with the rank of the training loss partialled out. Ranks are taken among "
        "networks of one family (ResNet-VAEs of CT-05, autoencoders of CT-14 and of CT-15) that were trained and "
        "tested on the same photographs: a pilot showed that losses differ most between photographs. Interval: "
        "bootstrap over these groups. A correlation over networks shows no cause. The correlations were not seen "
        "before.",
    ),
    "CT-18": Claim(
        id="CT-18",
        claim="Dropout that is paid for by spectral decay alone gives a(p) = a(0) + 2np/log2(m/e)",
        source="ours, from the paper's capacity and entropy bounds (Marshall & Kirchner 2024, supplement 2.3 and 2.4)",
        paper="not in the paper; n = 8 bits and m = 1024 give 1.9 per unit p",
        rule={f"measured ÷ predicted slope, {name}": (0.5, 2.0) for name in ("ResNet-VAE", "autoencoders")},
        reason="n = 8 bits, the precision of a pixel; a factor of 2 because n of a unit is not known better. "
        "ResNet-VAE: CT-05's slopes in eval mode, each layer with its own width. Autoencoders: ReLU networks of "
        "CT-14. Not blind for the ResNet-VAE: an earlier sweep with another recipe gave 1.64 for the mean slope.",
    ),
}


RATES = (0.0, 0.4)
# condition -> kind of noise, its rate, weight decay
CONDITIONS = {
    "no noise": ("none", 0.0, 0.0),
    "dropout": ("dropout", 0.4, 0.0),
    "Gaussian noise": ("gaussian", 0.4, 0.0),
    "weight decay": ("none", 0.0, 0.3),
}


def photograph_nets(cfg, activation: str, dropout: float, width: int) -> dict:
    """Return the settings of `on_photographs` for one ensemble."""
    folder = cfg.folder if cfg.source == "photographs" else ""
    content = fingerprint_here({"folder": folder}) if cfg.source == "photographs" else ""
    return {
        **{"activation": activation, "dropout": dropout, "width": width, "content": content, "folder": folder},
        **{"n_nets": cfg.n_nets, "n_steps": cfg.ae_steps, "n_train": 16384, "batch_size": 64, "lr": 1e-3},
    }


def fingerprint_here(config) -> str:
    """Return the fingerprint of the photographs that a config of `on_photographs` means on this machine."""
    return data.fingerprint(data.photographs(config["folder"] or None))


def feature_nets(cfg, condition: str) -> dict:
    """Return the settings of `on_features` for one ensemble."""
    noise, rate, weight_decay = CONDITIONS[condition]
    return {
        **{"noise": noise, "rate": rate, "weight_decay": weight_decay, "n_nets": cfg.n_nets, "n_stops": 24},
        **{"n_steps": cfg.feature_steps, "batch_size": 256, "lr": 3e-3},
    }


def patches(seed: int, n_train: int, n_probe: int, folder: str, device) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return grey patches to learn and to probe [n, pixels], in units of the learnt ones' standard deviation, and it.

    Every seed splits the photographs anew; grey is the mean of the channels, centred with the mean of all pixels
    learnt.
    """
    learnt, held = data.split(data.photographs(folder or None, smallest=SIDE), seed=seed)
    parts = [
        data.patches(pictures, n, SIDE, streams.rng(seed, stream)).pixels.mean(1).flatten(1)
        for pictures, n, stream in ((learnt, n_train, "patches"), (held, n_probe, "probes"))
    ]
    mean, scale = parts[0].mean(), parts[0].std()
    return *(((part - mean) / scale).to(device) for part in parts), float(scale)


def on_photographs(
    *, seed, device, activation, dropout, width, n_nets, n_train, n_steps, batch_size, lr, content, folder
) -> dict:
    """Train autoencoders with seeds `seed`, `seed` + 1, …; return exponents [net, layer], losses and decodability."""
    n_probe = PROBES_PER_UNIT * width
    sets = [patches(seed + k, n_train, n_probe, folder, device) for k in range(n_nets)]
    learnt, held = (torch.stack([one[part] for one in sets]) for part in (0, 1))
    nets = perceptrons.perceptrons(
        (SIDE**2, width, width, CODE, width, SIDE**2),
        (activation, activation, "identity", activation, "identity"),
        (True, True, False, False, False),
        n_nets,
        streams.generator(seed, "weights", device),
    )
    order = streams.generator(seed, "shuffle", device)

    def draw(step):
        batch = learnt[:, torch.randint(n_train, (batch_size,), generator=order, device=device)]
        return batch, batch

    masks = streams.generator(seed, "noise", device)
    noise = perceptrons.multiplied("dropout", dropout, masks)
    ((_, nets),) = perceptrons.trained(nets, draw, n_steps, lr, noise, also=(order, masks))
    with torch.no_grad():
        found = perceptrons.activities(nets, held)
    layers = [found[0], found[1], found[3]]
    exponents = np.array([[exponent(layer[k], DECADE, NARROW) for layer in layers] for k in range(n_nets)])
    scale = torch.tensor([one[2] for one in sets], device=device)[:, None, None]
    return {
        "exponent": exponents[..., 0],
        "narrow_exponent": exponents[..., 1],
        "decodability": np.array([[decodability(layer[k], held[k]) for layer in layers] for k in range(n_nets)]),
        "train_loss": _loss(nets, learnt[:, :n_probe], learnt[:, :n_probe]).cpu().numpy(),
        **{name: values.cpu().numpy() for name, values in robustness(nets, held, scale, seed).items()},
    }


def exponent(activity: torch.Tensor, *windows: tuple[int, int]) -> list[float]:
    """Return the exponents of activity [n, m] on ranks (first, last), corrected for n; NaN where m is below 4 · last.

    An activity that does not reach the last rank counts as the steepest exponent there is.
    """
    spectrum = spectra.covariance_spectrum(activity)
    return [_exponent(spectrum, first, last) for first, last in windows]


def _exponent(spectrum: spectra.Spectrum, first: int, last: int) -> float:
    if spectrum.n_units < 4 * last:
        return np.nan
    fitted = np.inf
    if spectrum.eigenvalues[last - 1] > 1e-12 * spectrum.eigenvalues[0]:
        fitted = spectra.fit_power_law(spectrum, first, last).exponent
    if fitted >= spectra.MAX_EXPONENT:
        return spectra.MAX_EXPONENT
    return spectra.debias_power_law(spectrum, first=first, last=last).exponent


def decodability(activity: torch.Tensor, target: torch.Tensor, ridge: float = 1e-4) -> float:
    """Return R² of a linear map from activity [n, m] to the inputs [n, d]: fitted on one half, measured on the other.

    The ridge is a share of the mean variance of a unit; the order of samples is that of drawing, so halves are alike.
    """
    half = len(activity) // 2
    mean, centre = activity[:half].double().mean(0), target[:half].double().mean(0)
    x, y = activity.double() - mean, target.double() - centre
    gram = x[:half].T @ x[:half]
    gram.diagonal().add_(ridge * gram.diagonal().mean().clamp_min(1e-300))
    error = y[half:] - x[half:] @ torch.linalg.solve(gram, x[:half].T @ y[:half])
    return float(1 - error.square().sum() / y[half:].square().sum())


def _loss(nets, inputs, target):
    return (perceptrons.activities(nets, inputs)[-1] - target).square().mean((1, 2))


def robustness(nets: perceptrons.Perceptrons, held: torch.Tensor, scale: torch.Tensor, seed: int) -> dict:
    """Return every network's mean squared error on held-out patches: clean, with noisy inputs, with attacked inputs.

    Damage is that of the vision family, in units of the patches; the target is the clean patch.
    """
    noise = torch.randn(held.shape, generator=streams.generator(seed, "corruption", held.device), device=held.device)
    moved = held.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(nets, moved, held).sum(), moved)
    inputs = {
        "test_loss": held,
        "noisy_loss": held + NOISE / scale * noise,
        "attacked_loss": held + ATTACK / scale * gradient.sign(),
    }
    with torch.no_grad():
        return {name: _loss(nets, values, held) for name, values in inputs.items()}


def on_features(*, seed, device, noise, rate, weight_decay, n_nets, n_steps, batch_size, lr, n_stops) -> dict:
    """Train one-hidden-layer ReLU autoencoders of sparse features; return their course [stop, net].

    A feature is 0 but with probability 0.05, then uniform on [0, 1]. `loss` is the clean held-out squared error as a
    share of the inputs' variance, `index` `features_per_unit`, `twins` the share of units that another one repeats,
    `exponent` that of the hidden layer.
    """
    drawn, held = (streams.generator(seed, stream, device) for stream in ("data", "probes"))
    probe = sparse_features((n_nets, PROBES_PER_UNIT * HIDDEN, N_FEATURES), held)
    nets = perceptrons.perceptrons(
        (N_FEATURES, HIDDEN, N_FEATURES), ("relu", "identity"), (True, False), n_nets,
        streams.generator(seed, "weights", device),
    )  # fmt: skip

    def draw(step):
        batch = sparse_features((n_nets, batch_size, N_FEATURES), drawn)
        return batch, batch

    factors = streams.generator(seed, "noise", device)
    act = perceptrons.multiplied(noise, rate, factors)
    stops = [0, *np.unique(np.geomspace(10, n_steps, n_stops).round().astype(int)).tolist()]
    course: dict[str, list] = {"step": [], "loss": [], "index": [], "twins": [], "exponent": []}
    changed = (drawn, factors, *course.values())
    for step, now in perceptrons.trained(nets, draw, n_steps, lr, act, weight_decay, stops, also=changed):
        with torch.no_grad():
            hidden, output = perceptrons.activities(now, probe)
            course["step"].append(step)
            course["loss"].append(((output - probe).square().mean((1, 2)) / probe.var((1, 2))).cpu().numpy())
            course["index"].append(features_per_unit(now.weights[0], now.biases[0]).cpu().numpy())
            course["twins"].append(twins(now.weights[0], now.biases[0]).double().cpu().numpy())
            course["exponent"].append(np.array([exponent(layer, DECADE)[0] for layer in hidden]))
    return {name: np.array(values) for name, values in course.items()}


def sparse_features(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Return features that are 0 but with probability DENSITY, then uniform on [0, 1]."""
    options = {"generator": generator, "device": generator.device}
    return torch.rand(shape, **options) * (torch.rand(shape, **options) < DENSITY)


def twins(weight: torch.Tensor, bias: torch.Tensor, alike: float = 0.9) -> torch.Tensor:
    """Return the share of live units whose answers to single features another unit repeats, [net].

    Answers as in `features_per_unit`; two units repeat each other where their answers' cosine is at least `alike`.
    """
    answer = (torch.relu(weight + bias[:, None]) - torch.relu(bias)[:, None]).double()
    size = answer.norm(dim=1)
    direction = answer / size.clamp_min(1e-300)[:, None]
    cosine = direction.mT @ direction
    cosine.diagonal(dim1=1, dim2=2).zero_()
    live = size > 0
    return ((cosine.amax(-1) >= alike) & live).sum(1) / live.sum(1).clamp_min(1)


def features_per_unit(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the mean over live units of their effective number of features, of ReLU networks [net, feature, unit].

    A unit's answer to a feature is how far the feature alone, at 1, moves it; exp of the entropy of the squared
    answers' shares is 1 for one feature and N for N equal ones. Units that no single feature moves are left out.
    """
    answer = (torch.relu(weight + bias[:, None]) - torch.relu(bias)[:, None]).double().square()
    total = answer.sum(1)
    share = answer / total.clamp_min(1e-300)[:, None]
    number = torch.exp(torch.special.entr(share).sum(1))
    live = total > 0
    return (number * live).sum(1) / live.sum(1).clamp_min(1)


def at_loss(course: dict, loss: np.ndarray, key: str) -> np.ndarray:
    """Return a quantity of each network of a course at the step where its loss has come down to `loss` [net].

    Linear in the logarithm of the loss between the stops of its training; a loss that it never has counts as the
    nearest it has.
    """
    reached = np.minimum.accumulate(course["loss"], axis=0)
    return np.array(
        [
            np.interp(np.log(target), np.log(path[::-1]), values[::-1])
            for target, path, values in zip(loss, reached.T, course[key].T, strict=True)
        ]
    )


def width_trend(values: np.ndarray, widths: tuple[int, ...], level: float = 0.95) -> Estimate:
    """Return the slope of values [width, seed] on log10 width and its t interval; every seed has its own constant."""
    x = np.log10(np.asarray(widths, dtype=float))
    x = np.broadcast_to((x - x.mean())[:, None], values.shape)
    y = values - values.mean(0)
    slope = float((x * y).sum() / (x * x).sum())
    dof = values.size - values.shape[1] - 1
    error = np.sqrt(((y - slope * x) ** 2).sum() / dof / (x * x).sum())
    half = float(stats.t.ppf((1 + level) / 2, dof) * error)
    return Estimate(slope, slope - half, slope + half)


def rank_correlations(groups: list[np.ndarray], rng: np.random.Generator, n: int = 2000) -> list[Estimate]:
    """Return the rank correlation of a with each y at equal training loss, and its 95 % bootstrap interval.

    groups: arrays [net, (a, training loss, y…)] of networks that may be compared with each other; ranks are taken
    within a group, the correlation (with the training loss's rank partialled out) over all groups together. The
    bootstrap redraws groups. Where the training loss alone fixes the ranks nothing is left to correlate: 0.
    """
    scaled = [(2 * stats.rankdata(group, axis=0) - len(group) - 1) / len(group) for group in groups]
    products = np.array([ranks.T @ ranks for ranks in scaled])

    def partial(total):
        scale = np.sqrt(total.diagonal())
        r = total / np.outer(scale, scale)
        left = ((1 - r[0, 1] ** 2) * (1 - r[1, 2:] ** 2)).clip(min=0)  # rounding may put it below 0
        return np.where(left > 1e-9, (r[0, 2:] - r[0, 1] * r[1, 2:]) / np.sqrt(left.clip(min=1e-9)), 0)

    value = partial(products.sum(0))
    draws = [partial(products[rng.integers(len(groups), size=len(groups))].sum(0)) for _ in range(n)]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return [Estimate(*map(float, (v, min(v, a), max(v, b)))) for v, a, b in zip(value, low, high, strict=True)]


def predicted_slope(units: np.ndarray | float, bits: float = BITS) -> np.ndarray:
    """Return 2n / log2(m/e), the change of the exponent per unit of dropout if spectral decay alone pays for it.

    From mn(1 - p) = mn - (a/2) m log2(m/e): our combination of the paper's capacity under dropout with its entropy
    bound, sign and factor corrected.
    """
    return 2 * bits / np.log2(np.asarray(units) / np.e)
