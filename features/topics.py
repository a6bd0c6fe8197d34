"""Every Kafka topic of the platform: inputs from the contracts, outputs of the streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.contracts import CONTRACTS

__all__ = ["DEAD_LETTERS", "IMPRESSIONS", "TICKS", "TOPICS", "Topic"]

DAY_MS = 86_400_000
DEAD_LETTERS = "dead-letters"
# Our own: carries the watermark to the keyed state while no event does (see docs/architecture.md).
TICKS = "userflow-ticks"
# What the API recommended, to whom, and by which values.
IMPRESSIONS = "recommendation-impressions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """`partitions` are for a cluster; the embedded broker uses `embedded_partitions`."""

    name: str
    partitions: int
    embedded_partitions: int = 4
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int | None = 7 * DAY_MS
    # Larger than what a contract takes, so that what is too large can be kept with its reason.
    max_message_bytes: int = 8 << 20
    is_input: bool = False


PARTITIONS = {
    "webtoon_user_events": 12,
    "user-events": 24,
    "transactions": 12,
    "user-profiles": 6,
}
COMPACTED = ("transactions", "user-profiles")
OUTPUTS = ("session-metrics", "product-popularity", "alerts", "retargeting")


def _input(name: str) -> Topic:
    is_compacted = name in COMPACTED
    return Topic(
        name=name,
        partitions=PARTITIONS.get(name, 3),
        cleanup="compact" if is_compacted else "delete",
        retention_ms=None if is_compacted else 7 * DAY_MS,
        is_input=True,
    )


TOPICS = (
    *(_input(name) for name in CONTRACTS),
    *(Topic(name=name, partitions=6) for name in (*OUTPUTS, IMPRESSIONS)),
    # The largest record that an input takes must fit with its headers.
    Topic(name=DEAD_LETTERS, partitions=6, max_message_bytes=9 << 20),
    Topic(name=TICKS, partitions=1, embedded_partitions=1),
)
