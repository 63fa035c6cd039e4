"""All figures of the paper: `fig…(table)` draws one from its table, and nothing else."""

from polysemanticity.papers.feature_capacity.figures.allocation import figx_allocation as figx_allocation
from polysemanticity.papers.feature_capacity.figures.allocation import figx_marginal_benefit as figx_marginal_benefit
from polysemanticity.papers.feature_capacity.figures.allocation import figx_returns as figx_returns
from polysemanticity.papers.feature_capacity.figures.allocation import figx_schematic as figx_schematic
from polysemanticity.papers.feature_capacity.figures.architectures import figx_architectures as figx_architectures
from polysemanticity.papers.feature_capacity.figures.architectures import figx_crossover as figx_crossover
from polysemanticity.papers.feature_capacity.figures.bits import figx_bits as figx_bits
from polysemanticity.papers.feature_capacity.figures.blocks import figx_block_geometry as figx_block_geometry
from polysemanticity.papers.feature_capacity.figures.blocks import figx_blocks as figx_blocks
from polysemanticity.papers.feature_capacity.figures.bound import figx_bound as figx_bound
from polysemanticity.papers.feature_capacity.figures.correlated import figx_correlated as figx_correlated
from polysemanticity.papers.feature_capacity.figures.descent import figx_landscape as figx_landscape
from polysemanticity.papers.feature_capacity.figures.descent import figx_order_of_entry as figx_order_of_entry
from polysemanticity.papers.feature_capacity.figures.design import figx_by_design as figx_by_design
from polysemanticity.papers.feature_capacity.figures.emblem import figx_emblem as figx_emblem
from polysemanticity.papers.feature_capacity.figures.extensions import figx_transitions as figx_transitions
from polysemanticity.papers.feature_capacity.figures.extensions import figx_width_and_blocks as figx_width_and_blocks
from polysemanticity.papers.feature_capacity.figures.phase_diagram import figx_phase_diagram as figx_phase_diagram
from polysemanticity.papers.feature_capacity.figures.phase_diagram import figx_two_features as figx_two_features
from polysemanticity.papers.feature_capacity.figures.price import figx_count_law as figx_count_law
from polysemanticity.papers.feature_capacity.figures.price import figx_price as figx_price
from polysemanticity.papers.feature_capacity.figures.price import figx_spectrum as figx_spectrum
from polysemanticity.papers.feature_capacity.figures.real_data import figx_real_networks as figx_real_networks
