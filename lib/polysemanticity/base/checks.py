"""How a bad argument is refused: by an error that names the argument, its value and what is allowed."""


def check(condition: bool, name: str, value, allowed: str) -> None:
    """Raise ValueError naming the argument, its value and what is allowed, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} = {value!r}: allowed is {allowed}")
