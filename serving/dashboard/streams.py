"""What the streaming processes say of themselves at their `/metrics`.

Their addresses stand in a folder, in the form that Prometheus discovers targets from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from serving.dashboard.freshness import Buckets, Recent, buckets_of, quantile

__all__ = ["Freshness", "StreamReader"]

ASK_S = 1.0
MOST_PROCESSES = 20


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds from the arrival of an event until it could be read; None without events lately."""

    p50: float | None
    p99: float | None


class StreamReader:
    """Asks every process, each time it is called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recent = Recent()
        self._client = httpx.Client(timeout=ASK_S, trust_env=False)

    def read(self) -> Mapping[str, Freshness]:
        """By job, of the last five minutes; a process that does not answer is left out."""
        said: dict[str, Buckets] = {}
        for url in self._addresses():
            said.update(self._ask(url))
        lately = self._recent.add(time.monotonic(), said)
        return {job: Freshness(quantile(b, 0.5), quantile(b, 0.99)) for job, b in lately.items()}

    def close(self) -> None:
        """Leave nothing open."""
        self._client.close()

    def _addresses(self) -> Iterator[str]:
        for file in sorted(self._folder.glob("*.json"))[:MOST_PROCESSES]:
            try:
                groups = json.loads(file.read_text(encoding="utf-8"))
                yield from (f"http://{at}/metrics" for group in groups for at in group["targets"])
            except (
                OSError,
                ValueError,
                KeyError,
                TypeError,
            ):  # it ends just now, or is no such file
                continue

    def _ask(self, url: str) -> Mapping[str, Buckets]:
        try:
            return buckets_of(self._client.get(url).raise_for_status().text)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return {}
