"""Three papers on polysemanticity, and what it takes to ask their questions of a network of one's own.

A wing for each science (`spectra`, `projections`, `information`, `codes`; `incidental`; `capacity`), the networks, what
judges and draws (`intervals`, `claims`, `plots`, `notebook`), the papers' experiments (`papers`), and the engine that
runs notebooks. Imports point down: papers, science, base.
"""

__version__ = "0.2.0"
