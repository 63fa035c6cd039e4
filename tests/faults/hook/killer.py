"""Kill this process at its n-th change of a file below a folder, before the change is made: `kill -9` between any two.

FAULT_AT holds JSON: {"count": n, "below": folder, "fired": file}. One process of a run dies; it leaves `fired`.
FAULT_REFUSE holds JSON: {"what": ["chmod", "flock"], "below": folder}; these fail there, as on CIFS and NFS.
FAULT_CLOCK=1 moves the wall clock by up to a year at every reading. FAULT_LOG names a file that gets a line per rename.
"""

import errno
import fcntl
import itertools
import json
import os
import random
import signal
import sys
import time

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.copyfile")


def install() -> None:
    """Read the environment and set the trap, if one is asked for."""
    if os.environ.get("FAULT_AT"):
        _trap(**json.loads(os.environ["FAULT_AT"]))
    if os.environ.get("FAULT_LOG"):
        _log(os.environ["FAULT_LOG"])
    if os.environ.get("FAULT_CLOCK"):
        _clock()
    if os.environ.get("FAULT_REFUSE"):
        _refuse(**json.loads(os.environ["FAULT_REFUSE"]))


def _trap(count: int, below: str, fired: str) -> None:
    seen: dict[int, itertools.count] = {}

    def strike(what: str) -> None:
        if next(seen.setdefault(os.getpid(), itertools.count(1))) < count:
            return
        try:
            descriptor = os.open(fired, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:  # another process has died of this trap
            return
        os.write(descriptor, what.encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple) -> None:
        changes = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)
        if changes and str(arguments[0]).startswith(below):
            strike(event)

    sync = os.fsync

    def fsync(descriptor):
        strike("fsync")
        sync(descriptor)
        strike("fsync")

    sys.addaudithook(hook)
    os.fsync = fsync


def _refuse(what: list[str], below: str) -> None:
    def refusing(real, number):
        def call(file, *rest, **options):
            descriptor = file.fileno() if hasattr(file, "fileno") else file
            path = os.readlink(f"/proc/self/fd/{descriptor}") if isinstance(descriptor, int) else os.fspath(descriptor)
            if os.path.abspath(path).startswith(below):
                raise OSError(number, os.strerror(number), path)
            return real(file, *rest, **options)

        return call

    if "chmod" in what:
        os.chmod, os.fchmod = refusing(os.chmod, errno.EPERM), refusing(os.fchmod, errno.EPERM)
    if "flock" in what:
        fcntl.flock = refusing(fcntl.flock, errno.ENOLCK)


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _log(path: str) -> None:
    def hook(event: str, arguments: tuple) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(".npz"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{arguments[1]}\n")

    sys.addaudithook(hook)


def _clock() -> None:
    now, now_ns, jumps = time.time, time.time_ns, random.Random()
    year = 365 * 86400
    time.time = lambda: now() + jumps.uniform(-year, year)
    time.time_ns = lambda: now_ns() + int(jumps.uniform(-year, year) * 1e9)
