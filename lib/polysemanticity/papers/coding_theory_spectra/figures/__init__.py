"""All figures of the paper: `fig…(table)` draws one from its table, and nothing else."""

from polysemanticity.papers.coding_theory_spectra.figures.across_networks import (
    figx_generalisation as figx_generalisation,
)
from polysemanticity.papers.coding_theory_spectra.figures.across_networks import (
    figx_slope_prediction as figx_slope_prediction,
)
from polysemanticity.papers.coding_theory_spectra.figures.circle_codes import (
    figx_stringer_curves as figx_stringer_curves,
)
from polysemanticity.papers.coding_theory_spectra.figures.decoding import figx_decoder_gap as figx_decoder_gap
from polysemanticity.papers.coding_theory_spectra.figures.decoding import figx_decoding as figx_decoding
from polysemanticity.papers.coding_theory_spectra.figures.dense_autoencoders import figx_activations as figx_activations
from polysemanticity.papers.coding_theory_spectra.figures.dense_autoencoders import figx_widths as figx_widths
from polysemanticity.papers.coding_theory_spectra.figures.emblem import figx_emblem as figx_emblem
from polysemanticity.papers.coding_theory_spectra.figures.entropy import figx_entropy_bound as figx_entropy_bound
from polysemanticity.papers.coding_theory_spectra.figures.error_correction import (
    figS1_mutual_information as figS1_mutual_information,
)
from polysemanticity.papers.coding_theory_spectra.figures.error_correction import (
    figx_error_correction as figx_error_correction,
)
from polysemanticity.papers.coding_theory_spectra.figures.feature_autoencoders import (
    figx_noise_needed as figx_noise_needed,
)
from polysemanticity.papers.coding_theory_spectra.figures.known_information import figx_mine_bias as figx_mine_bias
from polysemanticity.papers.coding_theory_spectra.figures.linear_dropout import (
    figx_linear_dropout as figx_linear_dropout,
)
from polysemanticity.papers.coding_theory_spectra.figures.projected import (
    figx_action as figx_action,
)
from polysemanticity.papers.coding_theory_spectra.figures.projected import (
    figx_smoothness as figx_smoothness,
)
from polysemanticity.papers.coding_theory_spectra.figures.real_language import (
    fig6a_exponents as fig6a_exponents,
)
from polysemanticity.papers.coding_theory_spectra.figures.real_language import (
    fig6b_smoothness as fig6b_smoothness,
)
from polysemanticity.papers.coding_theory_spectra.figures.real_language import (
    fig6c_traces as fig6c_traces,
)
from polysemanticity.papers.coding_theory_spectra.figures.real_language import (
    fig6d_complement as fig6d_complement,
)
from polysemanticity.papers.coding_theory_spectra.figures.redundancy import (
    fig2_frontier as fig2_frontier,
)
from polysemanticity.papers.coding_theory_spectra.figures.redundancy import (
    figx_flat_redundant as figx_flat_redundant,
)
from polysemanticity.papers.coding_theory_spectra.figures.sparse_codes import (
    figx_dimensions_per_feature as figx_dimensions_per_feature,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import explore_layer as explore_layer
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    fig3a_eigenspectra as fig3a_eigenspectra,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    fig3b_depth as fig3b_depth,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    fig4a_dot_projections as fig4a_dot_projections,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    fig4b_roughness as fig4b_roughness,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    fig5_dropout as fig5_dropout,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    figx_erased as figx_erased,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    figx_reconstructions as figx_reconstructions,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    figx_steep_and_smooth as figx_steep_and_smooth,
)
from polysemanticity.papers.coding_theory_spectra.figures.vision import (
    figx_views as figx_views,
)
