"""On PYTHONPATH, this cuts every Python process off the network, loopback excepted; attempts are written down."""

import os
import socket

LOOPBACK = ("127.", "::1", "localhost")
_connect, _resolve = socket.socket.connect, socket.getaddrinfo


def _refuse(host) -> None:
    if host is None or str(host).startswith(LOOPBACK):
        return
    with open(os.environ["NETWORK_ATTEMPTS"], "a", encoding="utf-8") as file:
        file.write(f"{host}\n")
    raise OSError(f"the network was touched: {host}")


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        _refuse(address[0])
    return _connect(self, address)


def getaddrinfo(host, *arguments, **options):
    _refuse(host.decode() if isinstance(host, bytes) else host)
    return _resolve(host, *arguments, **options)


socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
