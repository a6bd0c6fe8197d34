"""A metric as it is declared: streams and API each have a table of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Kind", "Metric"]

UNITS = ("seconds", "bytes", "records", "keys")


class Kind(Enum):
    """A counter starts at 0 with the process and grows, a gauge says what is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`buckets`: the upper bounds of a histogram, in its unit; +Inf goes without saying."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """What the name says it is in; empty where it only counts."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in UNITS else ""

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries may use."""
        if self.kind is not Kind.HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
