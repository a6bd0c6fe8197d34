"""Replaying dead letters: each event comes back once, whatever dies on the way.

1. One replay at a time: it holds a lock of PostgreSQL for as long as it lives.
2. Before a letter is sent, a try is written down with the offset at which its partition ends.
   After Kafka has acknowledged it, try and letter are closed in one transaction.
3. Tries that nobody has closed are those of a replay that died. The next one first waits until
   nothing of them can be under way any more, then looks for their letters in the topic from that
   offset on. What it finds was sent; what it does not find never will be, and is open.

What goes into the archive needs less: it is appended if it is not there (`archive`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from features.validation import Rejected
from infra.dead_letters import archive, trail
from infra.dead_letters.arrival import jobs_without_stream, rejected_again, wait_until_read
from infra.dead_letters.changes import Snapshot
from infra.dead_letters.judging import UNKNOWN_TOPIC, key_of
from infra.dead_letters.letters import (
    OPEN,
    Connection,
    Letter,
    Place,
    Selection,
    connected,
    missing,
    places_of,
)
from infra.dead_letters.plan import JOB_OF, Part, Valid, plan
from infra.dead_letters.report import Fate, Replayed
from infra.dead_letters.topic import DELIVERY_S, Record, Topics, opened
from infra.endpoints import Endpoints
from infra.errors import ReplayFailed

__all__ = ["preview", "replay"]

LOCK = 7_305_122_001
# Nothing of a replay that died is under way after so long.
SETTLED_S = DELIVERY_S + 5.0
Say = Callable[[str], None]


def replay(
    selection: Selection, *, endpoints: Endpoints, wait_s: float, say: Say, stop: threading.Event
) -> Replayed:
    """Replay the open letters that are meant, then wait for the stream for at most `wait_s`.

    `stop` ends it between two parts of the letters, or the waiting. Raises `ReplayFailed` if a
    letter that is named is not there, or Kafka does not take one; what was done until then stays
    done.
    """
    with connected(endpoints) as connection, opened(endpoints.kafka) as topics:
        run = _Run(connection, topics, endpoints.lake)
        _take_turn(connection, say)
        run.settle(say)
        places = _open_places(connection, selection, run.report)
        for part in plan(connection, places):
            run.take(part)
            say(f"{len(run.report.fates):,} of {len(places):,} letters")
            if stop.is_set():
                break
        connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        run.conclude(wait_s, say, stop)
    return run.report


def preview(selection: Selection, *, endpoints: Endpoints) -> Replayed:
    """What `replay` would do; nothing is written and nothing sent."""
    report = Replayed(is_dry_run=True)
    with connected(endpoints) as connection:
        for part in plan(connection, _open_places(connection, selection, report)):
            report.fates += [Fate(letter.place, trail.SENT) for letter in part.to_send.letters]
            report.fates += [
                Fate(letter.place, trail.ARCHIVED) for letter in part.to_archive.letters
            ]
            report.fates += _still_open(part.invalid)
    return report


class _Run:
    """A replay under way; `report` is what it has done."""

    def __init__(self, connection: Connection, topics: Topics, lake: str) -> None:
        self.report = Replayed()
        self._connection = connection
        self._topics = topics
        self._lake = lake
        self._snapshot = Snapshot(connection)
        self._days: list[date] = []

    def settle(self, say: Say) -> None:
        """Find out how the tries of a replay that died have ended."""
        tries = trail.unended(self._connection)
        if not tries:
            return
        say("looking for what an earlier replay has sent")
        time.sleep(max(0.0, SETTLED_S - min(one.age_s for one in tries)))
        starts = {one.place: one.search_from for one in tries if one.search_from is not None}
        found = self._topics.find(starts)
        lost = dict.fromkeys(one.place for one in tries if one.place not in found)
        with self._connection.transaction():
            trail.end(self._connection, trail.SENT, found)
            trail.end(self._connection, trail.LOST, lost)
        self.report.recovered = len(found)

    def take(self, part: Part) -> None:
        """Bring back what can come back, and say of the rest why it cannot."""
        self._refuse(part.invalid, part.version)
        if part.to_send.letters:
            self._send(part)
        if part.to_archive.letters:
            self._archive(part)

    def conclude(self, wait_s: float, say: Say, stop: threading.Event) -> None:
        """What became of it: in the views, and in the archive."""
        report = self.report
        if self._days:
            report.backfill = min(self._days), max(self._days)
        if report.sent_to and wait_s > 0:
            started = time.monotonic()
            is_read = wait_until_read(self._connection, report.sent_to, wait_s, say=say, stop=stop)
            report.waited_s = time.monotonic() - started
            if is_read:
                report.features = self._snapshot.changes()
                report.came_back = rejected_again(self._connection, report.sent_to)
            else:
                jobs = {JOB_OF[place.topic] for place in report.sent_to}
                report.idle_jobs = jobs_without_stream(self._connection, jobs)

    def _refuse(self, invalid: Sequence[tuple[Letter, Rejected]], version: int | None) -> None:
        trail.refuse(self._connection, invalid, version)
        self.report.fates += _still_open(invalid)

    def _send(self, part: Part) -> None:
        letters = part.to_send.letters
        ends = self._topics.ends({(letter.topic, letter.partition) for letter in letters})
        has_place = [(letter.topic, letter.partition) in ends for letter in letters]
        self._refuse(_without_place(letters, has_place), part.version)
        valid = part.to_send.at(has_place)
        if not valid.letters:
            return
        self._snapshot.keep(part.topic, valid.events)
        places = [letter.place for letter in valid.letters]
        starts = [ends[place.topic, place.partition] for place in places]
        trail.begin(self._connection, places, part.version, starts)
        offsets, problem = self._topics.send(_records(valid))
        trail.end(self._connection, trail.SENT, offsets)
        self.report.fates += [
            Fate(place, trail.SENT, replace(place, offset=at)) for place, at in offsets.items()
        ]
        if problem:
            raise ReplayFailed(
                f"Kafka did not take {len(places) - len(offsets):,} of {len(places):,} letters of "
                f"{part.topic} ({problem}). They are still open: look at `userflow status`, then "
                "replay again, which looks first whether they have arrived."
            )

    def _archive(self, part: Part) -> None:
        valid = part.to_archive
        places = [letter.place for letter in valid.letters]
        fresh = archive.unarchived(self._lake, part.topic, valid.events)
        number = trail.begin(self._connection, places, part.version, [None] * len(places))
        archive.append(self._lake, {part.topic: fresh}, number, time.time_ns() // 1000)
        new = set(fresh.select("kafka_partition", "kafka_offset").rows())
        outcomes: dict[str, dict[Place, None]] = {trail.ARCHIVED: {}, trail.KNOWN: {}}
        for place in places:
            is_new = (place.partition, place.offset) in new
            outcomes[trail.ARCHIVED if is_new else trail.KNOWN][place] = None
        for outcome, ended in outcomes.items():
            trail.end(self._connection, outcome, ended)
            self.report.fates += [Fate(place, outcome) for place in ended]
        self._days += valid.events["event_at"].dt.date().unique().to_list()
        if newest := archive.last_day(self._lake, part.topic):
            self._days.append(max(newest, *self._days))


def _take_turn(connection: Connection, say: Say) -> None:
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    if found == (False,):
        say("waiting for another replay to end")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])


def _open_places(
    connection: Connection, selection: Selection, report: Replayed
) -> list[tuple[Place, int]]:
    if gone := missing(connection, selection.places):
        raise ReplayFailed(
            f"There is no dead letter {gone[0]}: `userflow dlq list` names those there."
        )
    places = places_of(connection, replace(selection, status=OPEN))
    if selection.places:
        still_open = {place for place, _ in places}
        meant = places_of(connection, selection)
        report.not_open = [place for place, _ in meant if place not in still_open]
    return places


def _still_open(invalid: Sequence[tuple[Letter, Rejected]]) -> list[Fate]:
    return [
        Fate(letter.place, trail.INVALID, reason_code=now.reason_code) for letter, now in invalid
    ]


def _without_place(
    letters: Sequence[Letter], has_place: Sequence[bool]
) -> list[tuple[Letter, Rejected]]:
    return [
        (
            letter,
            Rejected(UNKNOWN_TOPIC, f"Kafka has no partition {letter.partition} of the topic."),
        )
        for letter, is_there in zip(letters, has_place, strict=True)
        if not is_there
    ]


def _records(valid: Valid) -> list[Record]:
    events = valid.events.to_dicts()
    return [
        Record(letter.place, key_of(letter, event), letter.payload, letter.received_ms)
        for letter, event in zip(valid.letters, events, strict=True)
    ]
