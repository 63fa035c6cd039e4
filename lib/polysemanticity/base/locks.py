"""Locks between processes: free at once when their holder is killed, also on file systems that have none."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import filelock

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # NFS without its lock service, some FUSE


def acquire(file: Path, timeout: float = -1) -> filelock.AcquireReturnProxy:
    """Return the lock of a file, held, for a `with`; filelock.Timeout if another process keeps it `timeout` seconds.

    Where the file system has no locks it is one in this machine's folder for temporary files: processes of other
    machines are then not kept out. They would compute what is computed here too; what is written stays whole.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return filelock.FileLock(file).acquire(timeout)
    except OSError as error:
        if isinstance(error, filelock.Timeout) or error.errno not in NO_LOCKS:
            raise
    return filelock.FileLock(_elsewhere(file)).acquire(timeout)


def _elsewhere(file: Path) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    folder = Path(tempfile.gettempdir()) / f"polysemanticity-locks-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:32]}.lock"
