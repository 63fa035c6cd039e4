"""Rows summed in blocks are the rows: against the sums of the whole array, in whatever batches they come."""

import numpy as np
import pytest
import torch

from polysemanticity.audit import accumulate
from polysemanticity.spectra import CovarianceSums


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_blocks_add_up_to_the_whole(size):
    rows = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
    summed = accumulate.Rows("x")
    for start in range(0, 5000 if size > 1 else 700, size):
        summed.add(rows[start : start + size])
    summed.finish()
    expected = CovarianceSums.of(rows[: summed.count])
    assert summed.count == sum(block.count for block in summed.blocks) == (5000 if size > 1 else 700)
    torch.testing.assert_close(summed.total().scatter, expected.scatter)
    torch.testing.assert_close(summed.total().mean, expected.mean)
    assert accumulate.BLOCKS <= len(summed.blocks) <= 2 * accumulate.BLOCKS
    counts = np.array([block.count for block in summed.blocks])
    assert counts[:-1].min() >= 0.5 * counts.max()


def test_blocks_are_consecutive_and_keep_groups_whole():
    labels = np.repeat(np.arange(300), np.random.default_rng(1).integers(1, 12, 300))
    rows = torch.tensor(np.stack([labels, np.arange(len(labels))], 1), dtype=torch.float64)
    summed = accumulate.Rows("x")
    for start in range(0, len(rows), 37):
        summed.add(rows[start : start + 37], labels[start : start + 37])
    summed.finish()
    ends = np.cumsum([block.count for block in summed.blocks])
    assert ends[-1] == len(rows) and all(labels[end] != labels[end - 1] for end in ends[:-1])
    for start, block in zip([0, *ends[:-1]], summed.blocks, strict=True):
        assert float(block.mean[1]) == pytest.approx(start + (block.count - 1) / 2)


def test_what_is_kept_is_bounded_spread_out_and_made_of_neighbours():
    rows = torch.arange(100_000.0)[:, None].repeat(1, 2)
    summed = accumulate.Rows("x")
    for start in range(0, len(rows), 1000):
        summed.add(rows[start : start + 1000])
    summed.finish()
    sizes = [len(piece) for piece in summed.pieces]
    assert accumulate.KEPT / 4 <= sum(sizes) <= accumulate.KEPT and max(sizes) == accumulate.PIECE
    assert all(bool((piece[1:, 0] - piece[:-1, 0] == 1).all()) for piece in summed.pieces)
    assert float(summed.pieces[-1][-1, 0]) > 60_000 and float(summed.pieces[0][0, 0]) == 0


def test_rows_that_do_not_fit_are_refused():
    summed = accumulate.Rows("mlp")
    summed.add(torch.ones(3, 4))
    with pytest.raises(ValueError, match="mlp: units of a batch = 5"):
        summed.add(torch.ones(3, 5))
    with pytest.raises(ValueError, match="mlp = 'NaN or infinite"):
        summed.add(torch.full((3, 4), torch.nan))
