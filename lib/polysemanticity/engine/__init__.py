"""Runs notebooks: execution, processes, the store of results, sweeps, publishing. Knows no paper by name."""
