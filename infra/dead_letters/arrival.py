"""Whether the stream has read what was sent, by what its epochs say of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from infra.dead_letters.letters import Connection, Place, columns_of
from infra.dead_letters.plan import JOB_OF
from streaming.sinks.lease import holders

__all__ = ["jobs_without_stream", "rejected_again", "wait_until_read"]

LOOK_EVERY_S = 0.25
READ = """
SELECT clock -> 'offsets' FROM ops.stream_epochs WHERE job = %s
ORDER BY committed_at DESC LIMIT 1"""
AGAIN = """
SELECT reason_code, count(*) FROM ops.dead_letters
WHERE (topic, partition, "offset") IN
    (SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]))
GROUP BY 1 ORDER BY 2 DESC, 1"""


def wait_until_read(
    connection: Connection,
    sent: Sequence[Place],
    wait_s: float,
    *,
    say: Callable[[str], None],
    stop: threading.Event,
) -> bool:
    """Wait at most `wait_s` for committed epochs that have read all of it; whether they have.

    A stream that starts meanwhile will do as well. `stop` ends the waiting.
    """
    wanted = _last_of_each_job(sent)
    started = time.monotonic()
    while True:
        wanted = {
            job: offsets
            for job, offsets in wanted.items()
            if not _is_read(connection, job, offsets)
        }
        waited = time.monotonic() - started
        if not wanted or waited >= wait_s or stop.is_set():
            return not wanted
        idle = jobs_without_stream(connection, wanted)
        who = f"a stream of job {', '.join(idle)}" if idle else "the stream to read it"
        say(f"waiting for {who}: {waited:.0f} of at most {wait_s:.0f} s")
        stop.wait(min(LOOK_EVERY_S, wait_s - waited))


def jobs_without_stream(connection: Connection, jobs: Iterable[str]) -> list[str]:
    """Those of the jobs that no process runs now."""
    return [job for job in jobs if not holders(connection, job)]


def rejected_again(connection: Connection, sent: Sequence[Place]) -> Mapping[str, int]:
    """Reason -> how many of the events that were sent became letters again."""
    return dict(connection.execute(AGAIN, columns_of(sent)).fetchall())


def _last_of_each_job(sent: Sequence[Place]) -> dict[str, dict[str, int]]:
    wanted: dict[str, dict[str, int]] = {}
    for place in sent:
        of_job = wanted.setdefault(JOB_OF[place.topic], {})
        partition = f"{place.topic}/{place.partition}"
        of_job[partition] = max(place.offset, of_job.get(partition, 0))
    return wanted


def _is_read(connection: Connection, job: str, offsets: Mapping[str, int]) -> bool:
    found = connection.execute(READ, [job]).fetchone()
    read: Mapping[str, int] = found[0] if found else {}
    return all(read.get(partition, 0) > offset for partition, offset in offsets.items())
