"""`python -m polysemanticity.pages` writes all that follows from the address in CITATION.cff (`pages.hosting`)."""

import sys
from pathlib import Path

from polysemanticity.base import paths
from polysemanticity.pages import hosting


def main(root: Path = paths.ROOT) -> int:
    """Name each file that was changed; 2 where the address is none."""
    try:
        changed = hosting.write(root)
    except ValueError as error:
        print(f"CITATION.cff: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"written: {name}" for name in changed) or "nothing to write: all is as the address asks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
