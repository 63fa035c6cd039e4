"""What a sweep came to: one result for each configuration, with the configuration beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polysemanticity.base.checks import check


@dataclass(frozen=True)
class Results(Sequence):
    """Results in the order of their configurations: `results[i]` belongs to `results.configs[i]`.

    A result is a dictionary of arrays and plain values; where each configuration was run with several seeds it is a
    list of such dictionaries. Tests plant their own: `Results(configs, results)`.
    """

    configs: tuple[Mapping, ...]
    results: tuple

    def __init__(self, configs: Sequence[Mapping], results: Sequence):
        check(len(configs) == len(results), "results", len(results), f"one for each of {len(configs)} configurations")
        object.__setattr__(self, "configs", tuple(configs))
        object.__setattr__(self, "results", tuple(results))

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return Results(self.configs[place], self.results[place])
        return self.results[place]

    def __iter__(self) -> Iterator:
        return iter(self.results)

    def pairs(self) -> Iterator[tuple[Mapping, object]]:
        """Yield (configuration, result)."""
        return zip(self.configs, self.results, strict=True)

    def array(self, name: str) -> np.ndarray:
        """Return one value of every result as an array [config, ...], or [config, seed, ...] with several seeds."""
        return np.array([[one[name] for one in row] if isinstance(row, list) else row[name] for row in self.results])

    def setting(self, name: str) -> np.ndarray:
        """Return one setting of every configuration as an array [config, ...]."""
        return np.array([config[name] for config in self.configs])

    def where(self, **settings) -> "Results":
        """Return the results whose configurations have these settings, in their order; ValueError if there are none."""
        chosen = [
            place
            for place, config in enumerate(self.configs)
            if all(config.get(name) == value for name, value in settings.items())
        ]
        check(len(chosen) > 0, "settings", settings, "those of at least one configuration")
        return Results([self.configs[place] for place in chosen], [self.results[place] for place in chosen])
