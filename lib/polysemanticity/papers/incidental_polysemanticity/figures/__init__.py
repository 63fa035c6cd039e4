"""All figures of the paper: `fig…(table)` draws one from its table, and nothing else."""

from polysemanticity.papers.incidental_polysemanticity.figures.causes import figx_costs as figx_costs
from polysemanticity.papers.incidental_polysemanticity.figures.causes import figx_hidden as figx_hidden
from polysemanticity.papers.incidental_polysemanticity.figures.collisions import fig3_counts as fig3_counts
from polysemanticity.papers.incidental_polysemanticity.figures.collisions import figx_break as figx_break
from polysemanticity.papers.incidental_polysemanticity.figures.collisions import figx_collisions as figx_collisions
from polysemanticity.papers.incidental_polysemanticity.figures.collisions import figx_constant as figx_constant
from polysemanticity.papers.incidental_polysemanticity.figures.cooccurrence import figx_price as figx_price
from polysemanticity.papers.incidental_polysemanticity.figures.depth import figx_depth as figx_depth
from polysemanticity.papers.incidental_polysemanticity.figures.emblem import figx_emblem as figx_emblem
from polysemanticity.papers.incidental_polysemanticity.figures.limits import figx_limits as figx_limits
from polysemanticity.papers.incidental_polysemanticity.figures.necessity import figx_necessity as figx_necessity
from polysemanticity.papers.incidental_polysemanticity.figures.noise import fig5_fourth_norm as fig5_fourth_norm
from polysemanticity.papers.incidental_polysemanticity.figures.noise import figx_noise_pairs as figx_noise_pairs
from polysemanticity.papers.incidental_polysemanticity.figures.noise import figx_noise_theory as figx_noise_theory
from polysemanticity.papers.incidental_polysemanticity.figures.penalties import figx_penalties as figx_penalties
from polysemanticity.papers.incidental_polysemanticity.figures.playground import draw_ensemble as draw_ensemble
from polysemanticity.papers.incidental_polysemanticity.figures.race import figx_two_clocks as figx_two_clocks
from polysemanticity.papers.incidental_polysemanticity.figures.sparsification import (
    fig2_sparsification as fig2_sparsification,
)
from polysemanticity.papers.incidental_polysemanticity.figures.sparsification import figx_weights as figx_weights
from polysemanticity.papers.incidental_polysemanticity.figures.sparsification import figx_winner as figx_winner
from polysemanticity.papers.incidental_polysemanticity.figures.winner_takes_all import (
    figx_winner_takes_all as figx_winner_takes_all,
)
from polysemanticity.papers.incidental_polysemanticity.figures.winners import fig4_start_end as fig4_start_end
from polysemanticity.papers.incidental_polysemanticity.figures.winners import figx_winners as figx_winners
