"""The settings of the paper that exists only in the tests (`conftest.toy_paper`)."""

import dataclasses

from polysemanticity.base import config


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """Settings of a paper that exists only here."""

    n_seeds: int = config.setting(3, "number of seeds", low=1, smoke=2, paper=10)
    threads: int = config.setting(1, "threads per worker", low=1)
    rate: float = config.setting(0.5, "a rate", low=0, high=1)
    sizes: tuple[int, ...] = config.setting((4, 8), "sizes", low=1)
    kind: str = config.setting("a", "a choice", choices=("a", "b"))
