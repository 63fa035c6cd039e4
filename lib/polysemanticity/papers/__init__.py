"""One package per paper: settings and profiles, and a file for each family of experiments with its figures, claims and
workers. No paper imports another, none plots."""
