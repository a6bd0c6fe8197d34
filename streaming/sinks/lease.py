"""The lease of a job: one stream at a time writes the rows of a job into a database.

It is a session's advisory lock, so it lives exactly as long as the connection that writes: who
loses the connection has to win the lease again before anything else, and who dies leaves it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog

__all__ = ["LeaseTaken", "holders", "take"]

TAKE = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
# A lock on a 64-bit number stands in two columns of 32 bits each.
HOLDERS = """
SELECT activity.application_name
FROM pg_locks AS locks JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (locks.classid::bigint << 32 | locks.objid::bigint) = hashtextextended(%s, 0)"""
# A server notices at once that a process died, and by these that its machine did: in half a minute.
NOTICE_DEATH = """
SELECT set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '4', false)"""
# As much of a name as PostgreSQL keeps.
NAME_LENGTH = 63
WAIT_S = 10.0
LOOK_EVERY_S = 0.5
log = structlog.get_logger()


class LeaseTaken(Exception):
    """Another process runs the job."""

    def __init__(self, job: str, holder: str) -> None:
        super().__init__(
            f"Job {job} is already run by {holder}: stop that one first. A job of a database has "
            "one stream; when that ends or dies, the next start takes over."
        )


def take(
    connection: psycopg.Connection[Any], job: str, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Make the connection the job's; raises `LeaseTaken` if another holds on to it.

    Waits a little: a process that has just died may still be dying for the server.
    """
    connection.execute(NOTICE_DEATH)
    connection.execute("SELECT set_config('application_name', %s, false)", [_who()])
    left = WAIT_S
    while not _is_taken(connection, job):
        if left <= 0:
            raise LeaseTaken(job, ", ".join(holders(connection, job)) or "another process")
        if left == WAIT_S:
            log.info("waiting_for_lease", job=job, held_by=holders(connection, job))
        sleep(LOOK_EVERY_S)
        left -= LOOK_EVERY_S


def holders(connection: psycopg.Connection[Any], job: str) -> list[str]:
    """Who runs the job now, as it is known to the server; nobody or one."""
    return [name for (name,) in connection.execute(HOLDERS, [_lock(job)])]


def _is_taken(connection: psycopg.Connection[Any], job: str) -> bool:
    found = connection.execute(TAKE, [_lock(job)]).fetchone()
    return bool(found and found[0])


def _lock(job: str) -> str:
    return f"userflow stream {job}"


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"[:NAME_LENGTH]
