"""All figures of the paper: `fig…(table)` draws one from its table, and nothing else."""

from polysemanticity.papers.my_paper.figures.overlaps import fig1_overlaps as fig1_overlaps
