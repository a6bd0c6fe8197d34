"""What the streaming processes of a home say of themselves.

A process keeps one small file, so that `userflow status` can tell what it waits for even when no
service answers. A file whose process has died says nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.private_files import write_private
from infra.stack.supervisor import start_mark

if TYPE_CHECKING:
    from streaming.outages import Away

__all__ = ["StreamFile", "living_streams", "stream_lines", "told"]


class StreamFile:
    """The file of this process; each call writes it anew."""

    def __init__(self, path: Path, jobs: Sequence[str]) -> None:
        self._path = path
        self._known: dict[str, Any] = {
            "pid": os.getpid(),
            "mark": start_mark(os.getpid()),
            "jobs": list(jobs),
            "since": _iso(time.time()),
            "waits_for": {},
            "restarts": {},
        }
        self._restarts: Counter[str] = Counter()
        self._write()

    def away(self, services: Mapping[str, Away]) -> None:
        """These do not answer now, all others do."""
        waits = {name: {**asdict(one), "since": _iso(one.since)} for name, one in services.items()}
        self._write(waits_for=waits)

    def restarted(self, job: str) -> None:
        """The query of a job failed, and is started again."""
        self._restarts[job] += 1
        self._write(restarts=dict(self._restarts))

    def _write(self, **changed: object) -> None:
        self._known |= changed
        write_private(self._path, json.dumps(self._known))


@contextmanager
def told(home: Path, jobs: Sequence[str]) -> Iterator[StreamFile]:
    """Keep the file of this process for as long as the block lasts."""
    path = _folder(home) / f"{os.getpid()}.json"
    try:
        yield StreamFile(path, jobs)
    finally:
        path.unlink(missing_ok=True)


def living_streams(home: Path) -> list[dict[str, Any]]:
    """What each living process of this home says; files of dead ones are removed."""
    living = []
    for path in sorted(_folder(home).glob("*.json")):
        with suppress(FileNotFoundError, ValueError):  # it ends just now
            said = json.loads(path.read_text(encoding="utf-8"))
            if start_mark(said["pid"]) == said.pop("mark"):
                living.append(said)
            else:
                path.unlink(missing_ok=True)
    return living


def stream_lines(streams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For people."""
    for one in streams:
        yield f"stream of {', '.join(one['jobs'])}: process {one['pid']} since {one['since']}"
        for service, away in one["waits_for"].items():
            yield f"  waits for {service} since {away['since']}: {away['reason']}"
        for job, count in one["restarts"].items():
            yield f"  query {job} was started again {count} times"


def _folder(home: Path) -> Path:
    return home / "streams"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
