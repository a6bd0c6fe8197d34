"""A day from the Delta archive of the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from expectations.checks.day import CARTS, REJECTS
from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.decoding import event_schema
from infra.errors import LoadFailed
from infra.raw.source import Part, Progress, carts_in
from streaming.sinks.lake_tables import archive_of

__all__ = ["Archive"]


@dataclass(frozen=True, slots=True)
class Archive:
    """What was accepted, by the day of event time. What was refused stands in `ops.dead_letters`
    and counts for nothing here.
    """

    lake: str

    def read(self, day: date, progress: Progress) -> Mapping[str, Part]:
        """Every topic that has events of that day."""
        found: dict[str, Part] = {}
        for done, (topic, contract) in enumerate(CONTRACTS.items(), start=1):
            events = self._events(contract, day)
            if events is not None and events.height:
                found[topic] = (events, pl.DataFrame(schema=REJECTS))
            progress("reading", done, len(CONTRACTS))
        if not found:
            raise LoadFailed(
                f"{self.lake} has no archived event of {day}: let `userflow stream` archive some."
            )
        return found

    def carts(self, day: date) -> pl.DataFrame:
        """Of the shop's archive."""
        events = self._events(COMMERCE, day)
        return pl.DataFrame(schema=CARTS) if events is None else carts_in(events)

    def _events(self, contract: Contract, day: date) -> pl.DataFrame | None:
        try:
            table = DeltaTable(f"{self.lake}/{archive_of(contract).path}")
        except TableNotFoundError:
            return None
        place = pl.format("{}/{}", pl.lit(contract.topic), "kafka_partition")
        return (
            pl.scan_delta(table)
            .filter(pl.col("event_date") == day)
            .sort("kafka_partition", "kafka_offset")
            .select(
                place.alias("file"),
                pl.col("kafka_offset").alias("line"),
                *(pl.col(name).cast(dtype) for name, dtype in event_schema(contract).items()),
            )
            .collect()
        )
