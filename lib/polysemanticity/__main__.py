"""`python -m polysemanticity`: what `./run_all.sh` calls."""

import sys

from polysemanticity.engine.run import main

sys.exit(main())
