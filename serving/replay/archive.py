"""The archived events of a session: a scan of the days it lies in, bounded in rows and in turns.

The archive is ordered by arrival, not by session. What keeps a look-up small is that only the
folders of its days are opened, and of their files only the columns that a replay shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from features.contract import Contract
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from serving.errors import Unavailable

__all__ = ["Days", "DeltaArchive"]

DOMAINS = (WEBTOON, COMMERCE)
# Where and with what somebody did it is nobody's business here.
HIDDEN = ("ip", "user_agent")
AT_ONCE = 2
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Days:
    """Both inclusive, UTC."""

    first: date
    last: date


class DeltaArchive:
    """`lake` is a folder or a URI."""

    def __init__(self, lake: str) -> None:
        self._lake = lake.rstrip("/")
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def events_of(self, session_id: str, days: Days, limit: int) -> list[dict[str, Any]]:
        """The first `limit` events in the order in which they happened; null fields are left out.

        Raises `Unavailable` when that takes too long.
        """
        try:
            async with asyncio.timeout(PATIENCE_S), self._turns:
                return await asyncio.to_thread(self._read, session_id, days, limit)
        except TimeoutError as error:
            raise Unavailable("The archive does not answer in time.") from error

    def _read(self, session_id: str, days: Days, limit: int) -> list[dict[str, Any]]:
        found = [
            {"domain": contract.name, **event}
            for contract in DOMAINS
            for event in self._of_domain(contract, session_id, days, limit)
        ]
        return sorted(found, key=lambda event: (event["event_at"], event["event_id"]))[:limit]

    def _of_domain(
        self, contract: Contract, session_id: str, days: Days, limit: int
    ) -> Iterator[dict[str, Any]]:
        try:
            table = DeltaTable(f"{self._lake}/events/{contract.topic.replace('-', '_')}")
        except TableNotFoundError:
            return
        rows = (
            pl.scan_delta(table)
            .filter(pl.col("event_date").is_between(days.first, days.last))
            .filter(pl.col("session_id") == session_id)
            .select(*_shown(contract))
            .sort("event_at", "event_id")
            .head(limit)
            .collect()
        )
        for row in rows.iter_rows(named=True):
            yield {name: value for name, value in row.items() if value is not None}


def _shown(contract: Contract) -> list[str]:
    named = [field.name for field in contract.stored_fields if field.name not in HIDDEN]
    return ["event_id", "event_at", *(name for name in named if name != "session_id")]
