"""All figures of the paper: `fig…(table)` draws one from its table, and nothing else."""
