"""Exponents by depth: the jackknife against its definition, its coverage on dependent rows, and what is refused."""

import numpy as np
import pytest
import torch

from polysemanticity import spectra
from polysemanticity.networks import depth, hooks

UNITS, GROUPS, ROWS = 130, 12, 120


def batch_of(rows, group, **layers):
    found = hooks.Activity()
    for name, value in {"residual.1": rows, **layers}.items():
        found[name], found.group[name] = torch.as_tensor(value), torch.as_tensor(group)
        found.position[name] = torch.arange(len(value)) % ROWS
    return found


def autoregressive(seed, rho, exponent=1.2):
    """Rows [groups, rows, units] of a power law, within each group correlated by rho from one to the next."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((GROUPS, ROWS, UNITS))
    state = noise.copy()
    for t in range(1, ROWS):
        state[:, t] = rho * state[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return state * np.arange(1, UNITS + 1) ** (-exponent / 2)


def stream_of(data, size=5):
    for start in range(0, GROUPS, size):
        part = data[start : start + size]
        yield batch_of(part.reshape(-1, UNITS), np.repeat(np.arange(start, start + len(part)), ROWS))


def test_it_is_the_jackknife_of_the_fitted_slope_over_whole_groups():
    data = autoregressive(0, 0.5)
    (found,) = depth.exponents(stream_of(data), blocks=4, window=(3, 32))
    everything = spectra.covariance_spectrum(data.reshape(-1, UNITS))
    assert found.fitted == pytest.approx(spectra.fit_power_law(everything, 3, 32).exponent, abs=1e-9)
    assert found.corrected == spectra.debias_power_law(everything, first=3, last=32).exponent
    without = [
        spectra.fit_power_law(spectra.covariance_spectrum(data[np.arange(GROUPS) % 4 != k].reshape(-1, UNITS)), 3, 32).exponent
        for k in range(4)
    ]  # fmt: skip
    assert found.stderr == pytest.approx(np.sqrt(3 / 4 * np.sum((without - np.mean(without)) ** 2)), rel=1e-6)
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * 3.182446 * found.stderr, rel=1e-5)
    assert (found.n_rows, found.n_groups, found.n_blocks, found.first, found.last) == (GROUPS * ROWS, GROUPS, 4, 3, 32)


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_standard_error_is_the_spread_over_data_sets_also_of_dependent_rows(rho):
    """An error that takes dependent rows for independent ones is several times too small here."""
    found = [depth.exponents(stream_of(autoregressive(seed, rho)), blocks=12, window=(3, 32))[0] for seed in range(24)]
    spread = np.std([each.fitted for each in found], ddof=1)
    stated = np.sqrt(np.mean([each.stderr**2 for each in found]))
    assert 0.65 < stated / spread < 1.6
    mean = np.mean([each.fitted for each in found])
    covered = [abs(each.fitted - mean) < (each.interval[1] - each.interval[0]) / 2 for each in found]
    assert np.mean(covered) > 0.85
    if rho:
        independent = spectra.debias_power_law(
            spectra.covariance_spectrum(autoregressive(0, rho).reshape(-1, UNITS)), first=3, last=32
        ).stderr
        assert stated > 1.5 * independent


def test_first_rows_are_left_out_and_layers_keep_to_themselves():
    data = autoregressive(1, 0.0)
    rows, group = data.reshape(-1, UNITS).copy(), np.repeat(np.arange(GROUPS), ROWS)
    rows[::ROWS] *= 100  # as a transformer's first token
    other = autoregressive(2, 0.0, exponent=0.6).reshape(-1, UNITS)
    first, second = depth.exponents([batch_of(rows, group, **{"mlp.1": other})], first=1)
    assert first.layer == "residual.1" and first.n_rows == GROUPS * (ROWS - 1) and (first.first, first.last) == (3, 32)
    assert first.corrected == pytest.approx(1.2, abs=0.1) and second.corrected == pytest.approx(0.6, abs=0.1)


def test_a_network_of_random_weights_is_measured_at_every_depth():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_embd=128, n_layer=2, n_head=4, n_positions=32, vocab_size=300, bos_token_id=None, eos_token_id=None
    )
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = transformers.GPT2Model(config)
    tokens = torch.randint(300, (24, 32), generator=torch.Generator().manual_seed(0))
    batches = [{"input_ids": part, "groups": torch.arange(8)} for part in tokens.split(8)]
    found = depth.exponents(hooks.activity(model, batches, ["residual.*", "mlp.*"]), blocks=4)
    assert [each.layer for each in found] == ["residual.0", "residual.1", "residual.2", "mlp.1", "mlp.2"]
    assert all(each.n_groups == 8 and each.n_rows == 24 * 32 and np.isfinite(each.stderr) for each in found)


def test_too_little_is_refused():
    data = autoregressive(3, 0.0)
    for call, told in (
        (lambda: depth.exponents(stream_of(data), blocks=1), "blocks = 1: allowed is at least 2"),
        (lambda: depth.exponents(stream_of(data), blocks=13), "number of groups = 12: allowed is at least 13"),
        (lambda: depth.exponents([]), "stream = 'no rows'"),
        (lambda: depth.exponents(stream_of(data), first=ROWS), "stream = 'no rows'"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
