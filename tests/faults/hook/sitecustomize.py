"""On PYTHONPATH, this lets every Python process kill itself at a chosen file operation: see killer.py."""

import killer

killer.install()
