"""Behaviour as a table: state -> the steps out of it, each with a weight and a pause before it.

The table is data; a `Walk` is the same table with its weights summed up, so that one random number
chooses a step; a `Path` is where one journey is on it. A state without steps, and a step without an
event, end the journey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from producer.times import SECOND_US

__all__ = ["LEAVES", "OUTSIDE", "Path", "Step", "Table", "Walk", "reweighted"]

OUTSIDE = "outside"  # where every journey begins
LEAVES = ""  # the event of who goes without a word


@dataclass(frozen=True, slots=True)
class Step:
    """`event` happens and leads to `to`, after a pause within `pause_s`, mostly a short one."""

    event: str
    to: str
    weight: float
    pause_s: tuple[float, float] = (0.0, 0.0)


Table = Mapping[str, tuple[Step, ...]]


class Walk:
    """A table ready to be walked."""

    __slots__ = ("_rows",)

    def __init__(self, table: Table) -> None:
        self._rows = {state: _cumulative(steps) for state, steps in table.items()}

    def step(self, state: str, rng: Random) -> Step | None:
        """The next step out of `state`, None where the journey ends."""
        chance = rng.random()
        for bound, step in self._rows.get(state, ()):
            if chance < bound:
                return None if step.event == LEAVES else step
        return None

    def first(self, rng: Random) -> Step:
        """How a journey begins."""
        first = self.step(OUTSIDE, rng)
        if first is None:
            raise ValueError(f"A table needs a step out of {OUTSIDE!r}.")
        return first

    @staticmethod
    def pause_us(step: Step, rng: Random) -> int:
        """Squaring the random number makes short pauses common and long ones possible."""
        shortest, longest = step.pause_s
        return int((shortest + (longest - shortest) * rng.random() ** 2) * SECOND_US)


class Path:
    """One journey: `step` is what happens next, and `follow` goes on from where that led."""

    __slots__ = ("_rng", "_walk", "step")

    def __init__(self, walk: Walk, rng: Random) -> None:
        self._walk = walk
        self._rng = rng
        self.step = walk.first(rng)

    def follow(self, state: str) -> int | None:
        """The microseconds until the next step out of `state`; None when the journey is over."""
        following = self._walk.step(state, self._rng)
        if following is None:
            return None
        self.step = following
        return self._walk.pause_us(following, self._rng)


def _cumulative(steps: tuple[Step, ...]) -> tuple[tuple[float, Step], ...]:
    total = sum(step.weight for step in steps)
    sums = [weight / total for weight in accumulate(step.weight for step in steps)]
    # Rounding may leave the last bound just under 1, and a step must always be found.
    return tuple(zip([*sums[:-1], 1.0], steps, strict=True)) if steps else ()


def reweighted(table: Table, event: str, factor: float) -> Table:
    """The same behaviour with `event` more or less likely everywhere."""
    return {
        state: tuple(
            replace(step, weight=step.weight * factor) if step.event == event else step
            for step in steps
        )
        for state, steps in table.items()
    }
