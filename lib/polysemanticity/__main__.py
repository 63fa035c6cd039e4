"""`python -m polysemanticity`: what `./run_all.sh` calls."""

import importlib.util
import sys

from polysemanticity.base import paths

NEEDED = ("papermill", "nbformat", "ipykernel", "matplotlib", "seaborn")  # imported late, or by kernels only


def main() -> int:
    """Run what the command line asks for; 2, with what is missing, outside a checkout or without the `notebooks`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may have no Greek, and a file's name no meaning as text
            stream.reconfigure(errors="backslashreplace")
    try:
        paths.checkout()
        paths.check_name()
        for name in NEEDED:
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError(f"No module named {name!r}")
        from polysemanticity.engine import run
    except RuntimeError as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"run: {error}: it comes with polysemanticity[notebooks]", file=sys.stderr)
        return 2
    return run.main()


if __name__ == "__main__":
    sys.exit(main())
