"""Ports on loopback: configured ones, else those of the last start, else free ones."""

from __future__ import annotations

import json
import secrets
import socket
import time
from pathlib import Path

from infra.errors import PortTaken, ServiceError
from infra.private_files import write_private

__all__ = ["LOOPBACK", "Ports", "is_free"]

LOOPBACK = "127.0.0.1"
# Below the ephemeral range, whose ports any outgoing connection may hold when a service comes back.
FIRST, COUNT = 20_000, 12_000
ATTEMPTS = 200
# A process that was killed holds its port until the last of its threads has ended; with another
# port the service would be lost to every client that has its address.
HELD_S = 5.0
LOOK_EVERY_S = 0.05


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is not taken
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Ports:
    """The ports of one home, remembered in a file from start to start.

    A remembered port that is taken is waited for, `held_s`, before it is replaced.
    """

    def __init__(self, file: Path, *, held_s: float = HELD_S) -> None:
        self._file = file
        self._held_s = held_s
        self._known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def known(self, name: str) -> int | None:
        """The port that `name` had at its last start."""
        return self._known.get(name)

    def choose(self, name: str, configured: int | None = None) -> int:
        """The port to listen on at the next start of `name`."""
        port = _configured(name, configured) if configured else self._remembered_or_new(name)
        self._known[name] = port
        write_private(self._file, json.dumps(self._known, indent=2) + "\n")
        return port

    def _remembered_or_new(self, name: str) -> int:
        known = self._known.get(name)
        if known and _is_free_within(known, self._held_s):
            return known
        for _ in range(ATTEMPTS):
            port = FIRST + secrets.randbelow(COUNT)
            if port not in self._known.values() and is_free(port):
                return port
        raise ServiceError(f"No free port was found between {FIRST} and {FIRST + COUNT}.")


def _is_free_within(port: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _configured(name: str, port: int) -> int:
    if is_free(port):
        return port
    raise PortTaken(
        f"Port {port} for {name} is taken by another program: free it, "
        f"or unset USERFLOW_{name.upper()}_PORT to get a free one."
    )
