"""What planted layers say of spectra: their exponent follows the features' law; a rotation is not seen at all."""

import numpy as np
import pytest

from polysemanticity.audit import validity


@pytest.fixture(scope="module")
def layers():
    return validity.planted(24, n_units=80, n_rows=800)


def test_what_was_planted_is_varied_independently(layers):
    share, law = (layers[name] for name in validity.PLANTED)
    assert share.max() - share.min() > 0.35 and law.max() - law.min() > 0.8 and abs(np.corrcoef(share, law)[0, 1]) < 0.5
    assert list(layers.columns) == [*validity.PLANTED, *validity.STATISTICS] and layers.notna().all(axis=None)


def test_the_exponent_follows_the_features_law(layers):
    table = validity.agreement(layers).set_index("statistic")
    assert table.loc["exponent", validity.PLANTED[1]] > 0.9
    assert (table[validity.PLANTED[1]].drop("exponent") < -0.8).all()


def test_no_spectrum_sees_a_rotation():
    """After it every unit serves all features; nothing that is read off a spectrum has moved."""
    plain, mixed = (validity.planted(3, n_units=80, n_rows=300, rotated=rotated) for rotated in (False, True))
    np.testing.assert_allclose(plain, mixed, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="n_layers"):
        validity.planted(1)
    with pytest.raises(ValueError, match="n_units"):
        validity.planted(5, n_units=10)
