"""Comparisons with what a user would run instead; `python -m benchmarks` measures them side by side."""
