"""One module per paper: its settings, profiles, claims, figures and workers; none imports another, none plots."""
