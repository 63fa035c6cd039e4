"""Helper package of the polysemanticity notebooks; see README.md for the map of its modules."""
