"""The verdict: what was lost, duplicated or different, in each store and each output topic.

1. PostgreSQL's rows are the oracle's; Redis and the newest of Delta's log are PostgreSQL's, with
   the same epochs and times, and those times are the commits' of the epochs.
2. Delta holds a change once for each (entity, epoch), and each accepted event once.
3. PostgreSQL and the topic hold each rejected event once, with its bytes and its reason.
4. After readers drop what has the `message_id` of another message, a topic of changed rows holds
   the changes that Delta holds, and those of the rules hold what the oracle finds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import isclose
from typing import Any

import msgspec
import polars as pl

from benchmarks.chaos.expected import Expected
from benchmarks.chaos.found import Found
from benchmarks.chaos.kafka_log import Record
from benchmarks.chaos.oracle import Rows
from features.topics import DEAD_LETTERS
from features.views import VIEWS, FeatureView
from streaming.jobs import Job

__all__ = ["Count", "judge"]

# Of what differs one is shown.
MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Of one place: how many things it should hold, and what is wrong with them.

    `repeats`: messages that a reader drops because it has seen their id.
    """

    place: str
    expected: int
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    repeats: int = 0
    example: str = ""

    @property
    def is_right(self) -> bool:
        return not (self.lost or self.duplicated or self.different)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def judge(job: Job, expected: Expected, found: Found) -> list[Count]:
    """Every place where the job leaves something."""
    counts = [_archive(job, expected, found), *_dead_letters(expected, found)]
    for name in job.views:
        counts += _view(VIEWS[name], expected.rows[name], found)
    if any(VIEWS[name].feed and VIEWS[name].feed.watched for name in job.views):  # type: ignore[union-attr]
        counts += [*_alerts(expected, found), _retargeting(expected, found)]
    return counts


def _view(view: FeatureView, wanted: Rows, found: Found) -> Iterable[Count]:
    rows, log = found.rows[view.name], found.logs[view.name]
    yield _by_oracle(view, wanted, rows)
    yield _same_times(f"PostgreSQL {view.name}: times", rows, "updated_at", "epoch", found)
    if view.redis_key:
        yield _like_postgres(f"Redis {view.name}", view, rows, found.served[view.name])
        for feature, lists in found.lists.get(view.name, {}).items():
            yield _lists(f"Redis {view.name}: {feature}", view, feature, rows=rows, lists=lists)
    newest = log.sort("generation", "epoch").unique(view.key, keep="last", maintain_order=True)
    yield _like_postgres(f"Delta {view.name}", view, rows, newest.filter(~pl.col("is_deleted")))
    yield _once(f"Delta {view.name}: changes", log, [*view.key, "generation", "epoch"])
    yield _same_times(f"Delta {view.name}: times", log, "updated_at", "epoch", found)
    if view.messages is not None:
        yield _changes(view, log, found)


def _by_oracle(view: FeatureView, wanted: Rows, rows: pl.DataFrame) -> Count:
    mine = {tuple(map(_plain, key)): row for key, row in _by_key(view, rows).items()}
    differing = [
        f"{key} {name}: {_plain(mine[key][name])}, not {value}"
        for key, features in wanted.items()
        if key in mine
        for name, value in features.items()
        if not _is_same(_plain(mine[key][name]), value)
    ]
    lost, foreign = wanted.keys() - mine.keys(), mine.keys() - wanted.keys()
    return Count(
        place=f"PostgreSQL {view.name}",
        expected=len(wanted),
        lost=len(lost),
        duplicated=len(foreign),
        different=len({text.partition(": ")[0].rpartition(" ")[0] for text in differing}),
        example=_first(differing, lost, foreign),
    )


def _like_postgres(
    place: str, view: FeatureView, rows: pl.DataFrame, others: pl.DataFrame
) -> Count:
    """Value by value: another store gets what PostgreSQL holds."""
    key = list(view.key)
    both = rows.join(others, on=key, suffix=":other", nulls_equal=True)
    names = [column.name for column in view.online_columns if column.name not in key]
    unequal = {name: pl.col(name).ne_missing(pl.col(f"{name}:other")) for name in names}
    differing = both.filter(pl.any_horizontal(unequal.values()))
    lost, foreign = rows.join(others, on=key, how="anti"), others.join(rows, on=key, how="anti")
    examples = []
    if differing.height:
        one = differing.row(0, named=True)
        examples = [
            f"{[one[part] for part in key]} {name}: {one[f'{name}:other']}, not {one[name]}"
            for name in names
            if one[name] != one[f"{name}:other"]
        ]
    return Count(
        place=place,
        expected=rows.height,
        lost=lost.height,
        duplicated=foreign.height + others.height - others.n_unique(key),
        different=differing.height,
        example=_first(examples, lost.select(key).rows(), foreign.select(key).rows()),
    )


def _lists(
    place: str,
    view: FeatureView,
    feature: str,
    *,
    rows: pl.DataFrame,
    lists: Mapping[tuple[Any, ...], list[str]],
) -> Count:
    wanted = {key: row[feature] for key, row in _by_key(view, rows).items() if row[feature]}
    lost, foreign = wanted.keys() - lists.keys(), lists.keys() - wanted.keys()
    differing = [key for key in wanted.keys() & lists.keys() if wanted[key] != lists[key]]
    return Count(
        place=place,
        expected=len(wanted),
        lost=len(lost),
        duplicated=len(foreign),
        different=len(differing),
        example=_first(differing, lost, foreign),
    )


def _same_times(place: str, rows: pl.DataFrame, time: str, epoch: str, found: Found) -> Count:
    """What an epoch wrote carries the time of its commit, whichever attempt wrote it."""
    known = rows.join(found.commits, left_on=epoch, right_on="epoch", how="left")
    wrong = known.filter(pl.col(time).ne_missing(pl.col("committed_at")))
    return Count(
        place=place,
        expected=rows.height,
        different=wrong.height,
        example=_first(wrong.select(epoch, time, "committed_at").rows()),
    )


def _once(place: str, rows: pl.DataFrame, key: list[str]) -> Count:
    twice = rows.group_by(key).len().filter(pl.col("len") > 1)
    return Count(
        place=place,
        expected=rows.height,
        duplicated=int(twice["len"].sum()) - twice.height,
        example=_first(twice.select(key).rows()),
    )


def _archive(job: Job, expected: Expected, found: Found) -> Count:
    ids = Counter(found.archive["event_id"].to_list())
    lost, foreign = expected.accepted - ids.keys(), ids.keys() - expected.accepted
    twice = [name for name, count in ids.items() if count > 1]
    times = _same_times("", found.archive, "ingested_at", "epoch", found)
    return Count(
        place=f"Delta events of {job.name}",
        expected=len(expected.accepted),
        lost=len(lost),
        duplicated=ids.total() - len(ids) + len(foreign),
        different=times.different,
        example=_first(lost, twice, foreign) or times.example,
    )


def _dead_letters(expected: Expected, found: Found) -> Iterable[Count]:
    yield _by_name("PostgreSQL dead letters", dict(expected.dead), found.dead)
    told, repeats = _unique(found.topics[DEAD_LETTERS], lambda letter: letter.headers["message_id"])
    letters: dict[Any, Any] = {}
    for letter in told:
        headers = {name: value.decode() for name, value in letter.headers.items()}
        place = (
            headers["source_topic"],
            int(headers["source_partition"]),
            int(headers["source_offset"]),
        )
        letters.setdefault(place, []).append((headers["reason_code"], letter.value or b""))
    topic = {place for place, *_ in expected.dead}
    mine = {place: values for place, values in letters.items() if place[0] in topic}
    yield _by_name("topic dead-letters", dict(expected.dead), mine, repeats)


def _alerts(expected: Expected, found: Found) -> Iterable[Count]:
    wanted = dict.fromkeys(expected.alerts, "")
    kept = {name: [""] * count for name, count in Counter(found.alerts).items()}
    yield _by_name("PostgreSQL alerts", wanted, kept)
    told, repeats = _unique(found.topics["alerts"], _message_id)
    names = Counter((one["event_id"], one["alert_type"]) for one in map(_document, told))
    mine = {name: [""] * count for name, count in names.items()}
    yield _by_name("topic alerts", wanted, mine, repeats)


def _retargeting(expected: Expected, found: Found) -> Count:
    told, repeats = _unique(found.topics["retargeting"], _message_id)
    names = Counter(
        (
            one["user_id"],
            one["pattern"],
            tuple(one["product_ids"]),
            round(datetime.fromisoformat(one["detected_at"]).timestamp() / MICROSECOND),
        )
        for one in map(_document, told)
    )
    mine = {name: [""] * count for name, count in names.items()}
    return _by_name("topic retargeting", dict.fromkeys(expected.detections, ""), mine, repeats)


def _changes(view: FeatureView, log: pl.DataFrame, found: Found) -> Count:
    """A topic of changed rows holds what Delta's log holds."""
    assert view.messages is not None  # noqa: S101 - the caller looked
    told, repeats = _unique(found.topics[view.messages.topic], _message_id)
    wanted = {
        (row["epoch"], "|".join(row[part] for part in view.key)): msgspec.json.decode(
            msgspec.json.encode(
                {name: row[name] for name in (*view.key, *view.messages.columns, "event_at")}
            )
        )
        for row in log.filter(~pl.col("is_deleted")).rows(named=True)
    }
    mine: dict[Any, Any] = {}
    for one in map(_document, told):
        _, _, epoch, key = one.pop("message_id").split("/", 3)
        mine.setdefault((int(epoch), key), []).append(one)
    return _by_name(f"topic {view.messages.topic}", wanted, mine, repeats)


def _by_name(
    place: str, wanted: Mapping[Any, Any], found: Mapping[Any, list[Any]], repeats: int = 0
) -> Count:
    """Things with a name, each of which should be there once."""
    lost, foreign = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    twice = [name for name, values in found.items() if len(values) > 1]
    differing = [name for name in wanted.keys() & found.keys() if found[name][0] != wanted[name]]
    return Count(
        place=place,
        expected=len(wanted),
        lost=len(lost),
        duplicated=sum(len(found[name]) - 1 for name in twice) + len(foreign),
        different=len(differing),
        repeats=repeats,
        example=_first(lost, twice, foreign, differing),
    )


def _unique(records: Iterable[Record], name: Any) -> tuple[list[Record], int]:
    """What a reader that remembers names keeps, and how many it drops."""
    seen: dict[Any, Record] = {}
    dropped = 0
    for record in records:
        dropped += (key := name(record)) in seen
        seen.setdefault(key, record)
    return list(seen.values()), dropped


def _message_id(record: Record) -> str:
    return str(_document(record)["message_id"])


def _document(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(record.value or b"{}")
    if "message_id" not in document:
        document["message_id"] = f"{document['event_id']}/{document['alert_type']}"
    return document


def _by_key(view: FeatureView, rows: pl.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[part] for part in view.key): row for row in rows.rows(named=True)}


def _plain(value: Any) -> Any:
    """Times as microseconds, as the oracle has them."""
    return round(value.timestamp() / MICROSECOND) if isinstance(value, datetime) else value


def _is_same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float | int):
        return isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == wanted)


def _first(*examples: Iterable[Any]) -> str:
    return next((str(one) for some in examples for one in some), "")
