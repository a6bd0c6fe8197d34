"""The proof: what a run sent is what the stores hold.

1. Kafka holds as many records of the run as were sent.
2. Every record is archived, a dead letter for the expected reason, or a copy; every clean event is
   archived exactly once; and the stream has counted the same.
3. The sessions of the accepted events are the rows of PostgreSQL, Redis and the Delta log, no
   more and no fewer, with the same values.
4. Those values say how many events of the run lie in each session, from when to when, and that no
   session which has ended is open.

A late event may be accepted: nothing is late before the first watermark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import polars as pl

from features.views import FeatureView, view_named
from infra.demo import stores
from infra.demo.load import Run, sent_events, webtoon
from infra.endpoints import Endpoints
from streaming.jobs import JOBS

__all__ = ["Difference", "Proof", "TopicCount", "compare_rows", "prove"]

SESSION_FEATURES = view_named("session_features")

SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where the stores do not hold what they should."""

    what: str
    found: str
    expected: str
    look: str

    def to_json(self) -> dict[str, str]:
        """The public form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicCount:
    """What became of the records of one topic."""

    topic: str
    sent: int
    accepted: int
    duplicates: int
    dead_letters: Mapping[str, int]

    @property
    def dead(self) -> int:
        """All dead letters."""
        return sum(self.dead_letters.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found, and all that differs: nothing, if the run is proved."""

    topics: list[TopicCount]
    archive: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]
    log_rows: int
    differences: list[Difference]


def prove(run: Run, endpoints: Endpoints) -> Proof:
    """Read every store and compare; the stream must have ended or caught up."""
    sent = sent_events(run)
    archive = _in_run(
        stores.archived(endpoints.lake, _topics(), run.start_us), run, "kafka_partition"
    )
    dead = _in_run(stores.dead_letters(endpoints.postgres, run.start_us), run, "partition")
    topics = [_count(topic, sent, archive, dead) for topic in sent["topic"].unique().sort()]
    rows, log_rows = _rows(SESSION_FEATURES, run, endpoints)
    visited = _accepted(sent, archive).filter(topic=SESSION_FEATURES.topic)
    differences = [
        *_kafka(run, sent),
        *(found for topic in topics for found in _topic(topic, sent, archive)),
        *_stream_counts(topics, stores.epoch_sums(endpoints.postgres, run.start_us)),
        *_sessions(SESSION_FEATURES, visited, rows),
        *_content(visited, rows["PostgreSQL"]),
    ]
    return Proof(
        topics=topics, archive=archive, rows=rows, log_rows=log_rows, differences=differences
    )


def compare_rows(
    view: FeatureView, rows: pl.DataFrame, others: pl.DataFrame, name: str
) -> list[Difference]:
    """The columns in which a store differs from PostgreSQL, for the rows that both have."""
    key = list(view.key)
    both = rows.join(others, on=key, suffix=":other")
    found = []
    for column in (c.name for c in view.online_columns if c.name not in key):
        differing = both.filter(pl.col(column).ne_missing(pl.col(f"{column}:other")))
        if differing.height:
            first = differing.row(0, named=True)
            found.append(
                Difference(
                    what=f"{column} of {differing.height:,} rows in {name}",
                    found=str(first[f"{column}:other"]),
                    expected=f"{first[column]}, as in PostgreSQL",
                    look=f"{view.name} {'|'.join(first[part] for part in key)}",
                )
            )
    return found


def _topics() -> list[str]:
    return [topic for job in JOBS.values() for topic in job.topics]


def _in_run(frame: pl.DataFrame, run: Run, partition: str) -> pl.DataFrame:
    """The rows whose offset lies in the run."""
    offset = "offset" if partition == "partition" else "kafka_offset"
    spans = [(place, begin, run.ends[place]) for place, begin in run.begins.items()]
    bounds = pl.DataFrame(spans, schema=["place", "begin", "end"], orient="row")
    placed = frame.with_columns(place=pl.format("{}/{}", "topic", partition))
    inside = (pl.col(offset) >= pl.col("begin")) & (pl.col(offset) < pl.col("end"))
    return placed.join(bounds, on="place").filter(inside).drop("place", "begin", "end")


def _rows(view: FeatureView, run: Run, endpoints: Endpoints) -> tuple[dict[str, pl.DataFrame], int]:
    """The run's rows by store, and how many changes the Delta log holds."""
    name = webtoon(run).run
    log = stores.delta_log(view, endpoints.lake, name)
    newest = log.sort("generation", "epoch").unique(view.key, keep="last", maintain_order=True)
    rows = {
        "PostgreSQL": stores.postgres_rows(view, endpoints.postgres, name),
        "Redis": stores.redis_rows(view, endpoints.redis, name),
        "Delta": newest,
    }
    return rows, log.height


def _count(topic: str, sent: pl.DataFrame, archive: pl.DataFrame, dead: pl.DataFrame) -> TopicCount:
    """Every offset is in the archive, among the dead letters, or was a copy."""
    records = sent.filter(topic=topic).height
    accepted = archive.filter(topic=topic).height
    reasons = dead.filter(topic=topic)["reason"].value_counts().sort("count", descending=True)
    return TopicCount(
        topic=topic,
        sent=records,
        accepted=accepted,
        duplicates=records - accepted - int(reasons["count"].sum()),
        dead_letters=dict(reasons.rows()),
    )


def _accepted(sent: pl.DataFrame, archive: pl.DataFrame) -> pl.DataFrame:
    """The events that had to be accepted, and the late ones that could be and were."""
    late = sent.filter(kind="late").join(archive, on=["topic", "event_id"], how="semi")
    return pl.concat([sent.filter(kind="clean"), late])


def _kafka(run: Run, sent: pl.DataFrame) -> list[Difference]:
    held = sum(end - run.begins[place] for place, end in run.ends.items())
    look = "the topics: does another program write to them?"
    return _unequal("records of the run in Kafka", held, sent.height, look)


def _topic(count: TopicCount, sent: pl.DataFrame, archive: pl.DataFrame) -> list[Difference]:
    topic = count.topic
    mine, stored = sent.filter(topic=topic), archive.filter(topic=topic)
    wanted = _accepted(mine, stored)
    lost = wanted.join(stored, on="event_id", how="anti")
    foreign = stored.join(wanted, on="event_id", how="anti")
    reasons = dict(mine.filter(kind="bad")["reason"].value_counts().rows())
    late = mine.filter(kind="late").height - wanted.filter(kind="late").height
    expected = {**reasons, **({"late": late} if late else {})}
    table, letters = f"Delta events/{topic.replace('-', '_')}", "PostgreSQL ops.dead_letters"
    return [
        *_unequal(f"{topic}: events accepted", count.accepted, wanted.height, table),
        *_unequal(
            f"{topic}: different events", stored["event_id"].n_unique(), stored.height, table
        ),
        *_none(f"{topic}: events that are not archived", lost["event_id"], table),
        *_none(f"{topic}: archived events that nobody sent", foreign["event_id"], table),
        *_unequal(f"{topic}: dead letters", _told(count.dead_letters), _told(expected), letters),
        *_unequal(
            f"{topic}: duplicates", count.duplicates, mine.filter(kind="duplicate").height, table
        ),
    ]


def _stream_counts(
    topics: list[TopicCount], sums: Mapping[str, Mapping[str, int]]
) -> list[Difference]:
    """What the stream counted, against what was sent and where it is."""
    found = []
    for job in JOBS.values():
        mine = [count for count in topics if count.topic in job.topics]
        held = {
            "rows_in": sum(count.sent for count in mine),
            "accepted": sum(count.accepted for count in mine),
            "duplicates": sum(count.duplicates for count in mine),
            "rejected": sum(count.dead for count in mine),
        }
        counted = dict(sums.get(job.name, dict.fromkeys(held, 0)))
        look = "PostgreSQL ops.stream_epochs"
        found += _unequal(f"job {job.name}: its own counts", _told(counted), _told(held), look)
    return found


def _sessions(
    view: FeatureView, visited: pl.DataFrame, rows: Mapping[str, pl.DataFrame]
) -> list[Difference]:
    key = list(view.key)
    wanted = visited.select(key).unique()
    found = []
    for name, stored in rows.items():
        missing = wanted.join(stored, on=key, how="anti")
        foreign = stored.join(wanted, on=key, how="anti")
        found += _none(f"sessions missing in {name}", _ids(view, missing), f"{name} {view.name}")
        found += _none(f"sessions only in {name}", _ids(view, foreign), f"{name} {view.name}")
        found += compare_rows(view, rows["PostgreSQL"], stored, name)
    return found


def _content(visited: pl.DataFrame, rows: pl.DataFrame) -> list[Difference]:
    """Rows against the events themselves, counted anew."""
    key, look = list(SESSION_FEATURES.key), "PostgreSQL online.session_features"
    inside = pl.col("event_at").is_between(pl.col("started_at"), pl.col("ended_at"))
    counted = (
        visited.join(rows, on=key, suffix=":row")
        .filter(inside)
        .group_by(key)
        .agg(n=pl.len(), first=pl.col("event_at").min(), last=pl.col("event_at").max())
    )
    facts = {"n": "event_count", "first": "started_at", "last": "ended_at"}
    both = rows.join(counted, on=key, how="left")
    wrong = pl.any_horizontal(pl.col(a).ne_missing(pl.col(b)) for a, b in facts.items())
    ended = pl.col("is_completed") | pl.col("is_exit_tag")
    left_open = both.filter(ended & ~pl.col("is_closed"))
    return [
        *_none("sessions with other events", _ids(SESSION_FEATURES, both.filter(wrong)), look),
        *_none("sessions ended but open", _ids(SESSION_FEATURES, left_open), look),
    ]


def _ids(view: FeatureView, rows: pl.DataFrame) -> pl.Series:
    return rows.select(pl.concat_str(view.key, separator="|")).to_series()


def _unequal(what: str, found: object, expected: object, look: str) -> list[Difference]:
    if found == expected:
        return []
    return [Difference(what=what, found=str(found), expected=str(expected), look=look)]


def _none(what: str, ids: pl.Series, look: str) -> list[Difference]:
    if ids.is_empty():
        return []
    examples = ", ".join(str(one) for one in ids.head(SHOWN))
    found = f"{len(ids):,}: {examples}{', …' if len(ids) > SHOWN else ''}"
    return [Difference(what=what, found=found, expected="none", look=look)]


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
