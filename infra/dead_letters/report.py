"""What a replay did, for people and programs; no payload, no sentence that quotes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from infra.dead_letters.changes import Changed
from infra.dead_letters.letters import Place
from infra.dead_letters.trail import ARCHIVED, INVALID, KNOWN, SENT

__all__ = ["Fate", "Replayed"]

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a letter, in the words of the trail. `sent_to`: where its event stands now;
    `reason_code`: why it is still open.
    """

    place: Place
    outcome: str
    sent_to: Place | None = None
    reason_code: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        found: dict[str, Any] = {"letter": str(self.place), "outcome": self.outcome}
        if self.sent_to:
            found["sent_to"] = str(self.sent_to)
        if self.reason_code:
            found["reason_code"] = self.reason_code
        return found


@dataclass(slots=True, kw_only=True)
class Replayed:
    """Filled while the replay runs.

    `recovered`: letters that a replay had sent before it died. `not_open`: letters that were named
    but came back before. `backfill`: the days to recompute. `features`: by view; None where no
    epoch has read what was sent within `waited_s`. `idle_jobs`: those that should read it, but
    no stream runs them. `came_back`: reason -> events rejected again.
    """

    is_dry_run: bool = False
    fates: list[Fate] = field(default_factory=list)
    recovered: int = 0
    not_open: Sequence[Place] = ()
    backfill: tuple[date, date] | None = None
    features: Mapping[str, Changed] | None = None
    waited_s: float = 0.0
    idle_jobs: Sequence[str] = ()
    came_back: Mapping[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """How many letters had this fate."""
        return sum(fate.outcome == outcome for fate in self.fates)

    @property
    def sent_to(self) -> list[Place]:
        """Where the events that were sent stand now."""
        return [fate.sent_to for fate in self.fates if fate.sent_to]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "dry_run": self.is_dry_run,
            "letters": len(self.fates),
            **{name: self.count(name) for name in (SENT, ARCHIVED, KNOWN, INVALID)},
            "recovered": self.recovered,
            "not_open": [str(place) for place in self.not_open],
            "fates": [fate.to_json() for fate in self.fates],
            "backfill": self._backfill(),
            "features_changed": self._features(),
            "waited_s": round(self.waited_s, 1),
            "idle_jobs": list(self.idle_jobs),
            "came_back": dict(self.came_back),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.recovered:
            yield f"{self.recovered:,} letters had been sent by a replay that died; recorded now"
        if self.not_open:
            yield f"{len(self.not_open):,} of the letters named came back before: nothing to do"
        if not self.fates:
            yield "no open letter to replay"
            return
        is_to_be = "to be " if self.is_dry_run else ""
        yield f"{len(self.fates):,} open letters"
        yield f"  {self.count(SENT):,} {is_to_be}sent to their topics"
        late = self.count(ARCHIVED)
        yield f"  {late:,} {is_to_be}appended to the archive, as the stream would call them late"
        if known := self.count(KNOWN):
            yield f"  {known:,} were in the archive already"
        yield f"  {self.count(INVALID):,} still invalid"
        yield from self._invalid()
        yield from self._effects()

    def _invalid(self) -> Iterator[str]:
        invalid = [fate for fate in self.fates if fate.outcome == INVALID]
        reasons = Counter((fate.place.topic, str(fate.reason_code)) for fate in invalid)
        for (topic, reason), count in reasons.most_common():
            yield f"    {topic}  {reason}  {count:,}"
        for fate in invalid[:SHOWN]:
            yield f"    {fate.place}  {fate.reason_code}"
        if len(invalid) > SHOWN:
            yield f"    and {len(invalid) - SHOWN:,} more"

    def _effects(self) -> Iterator[str]:
        if self.features is not None:
            yield self._sum()
            for view, changed in self.features.items():
                if changed.rows:
                    yield f"  {view}: {changed.features:,} features in {changed.rows:,} rows"
        elif self.sent_to:
            yield self._unread()
        for reason, count in self.came_back.items():
            yield f"{count:,} of the events sent were rejected again: {reason}"
        if command := (self._backfill() or {}).get("command"):
            yield f"To count what was archived, run: {command}"

    def _sum(self) -> str:
        found = (self.features or {}).values()
        rows = sum(changed.rows for changed in found)
        return f"{sum(changed.features for changed in found):,} features changed in {rows:,} rows"

    def _unread(self) -> str:
        found = "How many features changed is not known"
        if not self.waited_s:
            return f"{found}, as nobody waited for the stream."
        if not self.idle_jobs:
            return f"{found}: the stream has not read all of it within {self.waited_s:.0f} s."
        jobs = ",".join(self.idle_jobs)
        return f"{found}: no stream runs. `userflow stream --jobs {jobs}` will read the events."

    def _backfill(self) -> dict[str, str] | None:
        if self.backfill is None:
            return None
        first, last = map(str, self.backfill)
        command = f"userflow backfill --from {first} --to {last}"
        return {"from": first, "to": last, "command": command}

    def _features(self) -> dict[str, Any] | None:
        if self.features is None:
            return None
        return {
            "features": sum(changed.features for changed in self.features.values()),
            "rows": sum(changed.rows for changed in self.features.values()),
            "views": {
                view: {"rows": changed.rows, "features": changed.features}
                for view, changed in self.features.items()
            },
        }
