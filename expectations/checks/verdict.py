"""All seven checks over all topics of a day: what each found, and who failed none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from expectations.checks.day import PLACE, Day
from expectations.checks.seven import SEVEN, check_of_reject

__all__ = ["EXAMPLES", "FAILURES", "Outcome", "Verdict", "judge"]

EXAMPLES = 5
FAILURES = {
    "topic": pl.String(),
    **PLACE,
    "event_id": pl.String(),
    "check": pl.String(),
    "reason": pl.String(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one check found. `checked`: the events it applies to, and those it refused before they
    could be read; `examples`: a few of the failing, without anything personal.
    """

    check: str
    checked: int
    failed: int
    examples: tuple[dict[str, object], ...] = ()

    @property
    def rate(self) -> float:
        """The share that passed; 1 where there was nothing to check."""
        return 1 - self.failed / self.checked if self.checked else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`good`: the events that fail none of the seven, for each day that was given; `failures`: one
    row for each check that an event fails, in the order of reading.
    """

    total: Outcome
    outcomes: tuple[Outcome, ...]
    good: tuple[pl.DataFrame, ...]
    failures: pl.DataFrame


def judge(days: Sequence[Day]) -> Verdict:
    """Run the checks over every topic of a day."""
    judged = [_judge(day) for day in days]
    failures = pl.concat([pl.DataFrame(schema=FAILURES), *(one.failures for one in judged)])
    good = tuple(one.good for one in judged)
    size = sum(day.size for day in days)
    return Verdict(
        total=Outcome(check="all", checked=size, failed=size - sum(one.height for one in good)),
        outcomes=tuple(
            _outcome(check.name, sum(one.checked[check.name] for one in judged), failures)
            for check in SEVEN
        ),
        good=good,
        failures=failures,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    checked: dict[str, int]
    good: pl.DataFrame
    failures: pl.DataFrame


def _judge(day: Day) -> _Judged:
    found = {check.name: check.look(day) for check in SEVEN}
    failing = pl.concat(
        one.failing.select(check=pl.lit(name), row="row", reason="reason")
        for name, one in found.items()
    )
    named = failing.join(day.events.select("row", *PLACE, "event_id"), on="row")
    check, reason = check_of_reject(day.contract)
    refused = day.rejects.select(*PLACE, check=check, reason=reason)
    failures = pl.concat([named, refused], how="diagonal").sort(*PLACE, maintain_order=True)
    refusals = dict(refused["check"].value_counts().iter_rows())
    return _Judged(
        {name: one.checked + refusals.get(name, 0) for name, one in found.items()},
        day.events.join(failing, on="row", how="anti", maintain_order="left"),
        failures.select(pl.lit(day.contract.topic).alias("topic"), *list(FAILURES)[1:]),
    )


def _outcome(name: str, checked: int, failures: pl.DataFrame) -> Outcome:
    mine = failures.filter(pl.col("check") == name)
    examples = mine.head(EXAMPLES).drop("check").to_dicts()
    return Outcome(check=name, checked=checked, failed=mine.height, examples=tuple(examples))
