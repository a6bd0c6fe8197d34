"""What an epoch does in a bucket, as it comes together: rows of (bucket, kind, blob).

| kind | blob |
|---|---|
| `read` | what was read of each partition |
| `events:<topic>`, `dropped:<topic>` | accepted events, and the places of those that were not |
| `dead` | rejected events |
| `feed:<feed>` | rows for the views of another key, on their way to the second stage |
| `rows:<view>`, `gone:<view>` | changed rows, and entities whose row is no more |
| `sent:<topic>` | messages and alerts of the rules over events |
| `refused` | rows of a feed whose key breaks the second stage |
| `limits` | of a view: how many events were late, which keys had too much, how far time is behind |
| `stats` | counts, and until when nothing is due |
| `wake` | nothing: time has passed |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import polars as pl

from features.contracts import CONTRACTS
from features.encoding import to_json
from streaming.packing import to_blob
from streaming.ports import DEAD, refusals

__all__ = ["FEED", "OUTPUT", "WAKE", "Outcome", "Packed", "taken"]

OUTPUT = "bucket int, kind string, blob binary"
FEED = "feed:"
WAKE = "wake"
STATS = {
    "duplicates": pl.Int64,
    "next_due": pl.Int64,
    "live_keys": pl.Int64,
}
LIMITS: dict[str, Any] = {
    "view": pl.String,
    "late": pl.Int64,
    "capped": pl.List(pl.String),
    "behind_us": pl.Int64,
}
Packed = tuple[int, str, bytes]


@dataclass(slots=True)
class Outcome:
    """Of the bucket with the grouping key `label`."""

    label: int
    rows: list[Packed] = field(default_factory=list)
    duplicates: int = 0
    next_due: int | None = None
    live: int = 0

    def put(self, kind: str, blob: bytes) -> None:
        """Pass a blob on."""
        self.rows.append((self.label, kind, blob))

    def put_frame(self, kind: str, frame: pl.DataFrame) -> None:
        """Put a frame out, unless it is empty."""
        if frame.height:
            self.put(kind, to_blob(frame))

    def reject(self, topic: str, events: pl.DataFrame, code: str, reason: str) -> None:
        """Events that met their contract, and yet cannot be taken."""
        if events.height:
            self.put_frame("dead", _dead(topic, events, code, reason))

    def refuse(self, store: str, target: str, keys: pl.Series, reason: str) -> None:
        """Rows with these keys were not taken."""
        self.put_frame("refused", refusals(store, target, keys, reason))

    def add(self, other: Outcome) -> None:
        """What came later in the same bucket."""
        self.rows += other.rows
        self.duplicates += other.duplicates
        self.next_due, self.live = other.next_due, other.live

    def limit(
        self, view: str, *, late: int = 0, capped: Sequence[str] = (), behind_us: int = 0
    ) -> None:
        """So many events came too late for this view, but not for others; `capped`: the key of each
        thing that it forgot; `behind_us`: for how long something has been due.
        """
        if late or capped or behind_us:
            row = (view, late, list(capped), behind_us)
            self.put_frame("limits", pl.DataFrame([row], LIMITS, orient="row"))

    def note(self, next_due: int | None, live: int) -> None:
        """Until when nothing is due, and how many keys live."""
        known = [at for at in (self.next_due, next_due) if at is not None]
        self.next_due = min(known, default=None)
        self.live += live

    def packed(self) -> pd.DataFrame:
        """Everything, with the counts."""
        stats = [(self.duplicates, self.next_due, self.live)]
        self.put("stats", to_blob(pl.DataFrame(stats, STATS, orient="row")))
        return pd.DataFrame(self.rows, columns=["bucket", "kind", "blob"])


def taken(
    rows: Iterable[pd.DataFrame], outcome: Outcome, *, passes: Callable[[str], bool]
) -> dict[str, list[bytes]]:
    """What came to a bucket, by kind; what `passes` goes on untouched."""
    blobs: dict[str, list[bytes]] = {}
    for part in rows:
        for kind, blob in zip(part["kind"], part["blob"], strict=True):
            if kind == WAKE:
                continue
            if passes(kind):
                outcome.put(kind, blob)
            else:
                blobs.setdefault(kind, []).append(blob)
    return blobs


def _dead(topic: str, events: pl.DataFrame, code: str, reason: str) -> pl.DataFrame:
    contract = CONTRACTS[topic]
    # Few events carry their bytes along: what is worth the same is made of the others.
    made = pl.Series("made", to_json(contract, events), pl.Binary)
    return (
        events.with_columns(made)
        .select(
            topic=pl.lit(topic),
            partition="kafka_partition",
            offset="kafka_offset",
            key=pl.lit(None, pl.Binary),
            payload=pl.coalesce("raw", "made"),
            received_at_us="received_at",
            reason_code=pl.lit(code),
            reason=pl.lit(reason),
            contract_version=pl.lit(contract.version, pl.Int32),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in DEAD.items())
    )
