"""Every label gets the row that the naive oracle finds, whatever the log looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.points import as_served, by_event_time

from features.columns import polars_schema
from features.views import VIEWS, FeatureView
from serving.training import join, log, sets, training_set

START = datetime(2026, 1, 1, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")
READER, VISIT, SESSION = (
    VIEWS[name] for name in ("user_features", "session_features", "derived_session_features")
)
# view -> the entities that occur, and a feature that tells rows apart.
ENTITIES: Mapping[str, tuple[Sequence[Any], ...]] = {
    READER.name: (["u1"], ["u2"], ["u|3"]),
    VISIT.name: (["s1", "e1"], ["s1", "e2"], ["s2", "e1"]),
    SESSION.name: (["u1", START], ["u1", START + timedelta(seconds=1)], ["u2", START]),
}
TOLD_BY = {
    READER.name: "read_count_24h",
    VISIT.name: "event_count",
    SESSION.name: "event_count",
}
ORACLES: Mapping[str, Callable[..., Any]] = {"as-served": as_served, "event-time": by_event_time}

seconds = st.integers(0, 6).map(lambda n: START + timedelta(seconds=n))
rows_of_a_log = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.integers(0, 2),
            "event_at": seconds,
            "available_at": seconds,
            "generation": st.integers(0, 2),
            "batch_id": st.integers(-1, 3),
            "is_deleted": st.sampled_from([None, False, False, True]),
            "file": st.integers(0, 2),
        }
    ),
    max_size=30,
    # An epoch says of an entity once what its row is and once that it is no more.
    unique_by=lambda row: (
        row["who"],
        row["available_at"],
        row["generation"],
        row["batch_id"],
        bool(row["is_deleted"]),
    ),
)
# Every entity and nobody, at every moment there is, twice and in no order.
LABELS = [
    (who, at)
    for who in (0, 1, 2, 3, None)
    for at in (None, *(START + timedelta(seconds=n) for n in range(-1, 8)))
] * 2
ttls = st.none() | st.integers(0, 3).map(lambda n: timedelta(seconds=n))


def write_log(lake: str, view: FeatureView, rows: Sequence[Mapping[str, Any]]) -> None:
    """One commit for each `file` of the rows, and one without a row."""
    schema = polars_schema(view.log_columns)
    for file in (None, *sorted({row["file"] for row in rows})):
        mine = [{**row, "feature_version": 1} for row in rows if row["file"] == file]
        frame = pl.DataFrame(mine, schema=schema)
        frame.write_delta(f"{lake}/features/{view.name}", mode="append")


def logged(view: FeatureView, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With the entity and a feature that is another one in every row; a mark has no feature."""
    return [
        {
            **row,
            **dict(zip(view.key, ENTITIES[view.name][row["who"]], strict=True)),
            TOLD_BY[view.name]: None if row["is_deleted"] else number,
        }
        for number, row in enumerate(rows)
    ]


def label(view: FeatureView, who: int | None, at: datetime | None) -> dict[str, Any]:
    known = ENTITIES[view.name]
    nobody = ["nobody", *known[0][1:]]
    entity = [None] * len(view.key) if who is None else [*known, nobody][who]
    return {**dict(zip(view.key, entity, strict=True)), "label_at": at}


def label_frame(view: FeatureView, asked: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(asked, schema={**polars_schema(view.entity), "label_at": UTC_US})


def expected(
    mode: str, log: Any, view: FeatureView, asked: Sequence[Mapping[str, Any]], ttl: Any
) -> list[tuple[int | None, int | None]]:
    found = []
    for one in asked:
        entity = {name: one[name] for name in view.key}
        row = one["label_at"] and ORACLES[mode](log, entity, one["label_at"], ttl)
        found.append((row[TOLD_BY[view.name]], 1) if row else (None, None))
    return found


cases = st.fixed_dictionaries(
    {
        "view": st.sampled_from([READER, VISIT, SESSION]),
        "rows": rows_of_a_log,
        "order": st.integers(0, 9),
        "ttl": ttls,
        "parts": st.sampled_from([1, 1, 3]),
    }
)


@pytest.mark.parametrize("mode", ORACLES)
@given(case=cases)
@settings(max_examples=60, deadline=None)
def test_a_label_gets_the_row_of_its_moment(mode: Any, case: Any) -> None:
    view, ttl = case["view"], case["ttl"]
    changes = logged(view, case["rows"])
    wanted = [label(view, *one) for one in Random(case["order"]).sample(LABELS, len(LABELS))]
    with TemporaryDirectory() as lake:
        write_log(lake, view, changes)
        found = training_set(
            label_frame(view, wanted),
            [f"{view.name}:{name}" for name in (TOLD_BY[view.name], "feature_version")],
            lake=lake,
            mode=mode,
            ttl=ttl,
            memory_bytes=max(1, len(changes) * sets.BYTES_A_ROW // case["parts"]),
        )
    names = (TOLD_BY[view.name], "feature_version")
    assert found.select(names).rows() == expected(mode, changes, view, wanted, ttl)
    assert found.drop(names).equals(label_frame(view, wanted))


def row(who: int, *, at: int, event: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "who": who,
        "event_at": START + timedelta(seconds=event),
        "available_at": START + timedelta(seconds=at),
        "generation": 1,
        "batch_id": at,
        "is_deleted": False,
        "file": 0,
        **more,
    }


def found_at(lake: Path, moments: Sequence[int], **options: Any) -> list[Any]:
    asked = [label(READER, 0, START + timedelta(seconds=at)) for at in moments]
    made = training_set(
        label_frame(READER, asked), "user_features:read_count_24h", lake=str(lake), **options
    )
    return made["read_count_24h"].to_list()


def test_entities_with_the_same_hash_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def same_at_first(key: tuple[str, ...], seed: int) -> pl.Expr:
        tried.append(seed)
        return join.entity_number(key, seed) % 1 if seed == 0 else join.entity_number(key, seed)

    monkeypatch.setattr(sets, "entity_number", same_at_first)
    write_log(str(tmp_path), READER, logged(READER, [row(0, at=1), row(1, at=2)]))
    assert found_at(tmp_path, [3]) == [0]
    assert tried == [0, 1]


def test_a_log_that_is_too_long_is_read_in_parts(tmp_path: Path) -> None:
    write_log(str(tmp_path), READER, logged(READER, [row(0, at=1), row(0, at=2), row(1, at=3)]))
    told: list[str] = []
    memory = 2 * sets.BYTES_A_ROW
    assert found_at(tmp_path, [1, 5], memory_bytes=memory, say=told.append) == [0, 1]
    assert told[1:3] == ["user_features: part 1 of 2", "user_features: part 2 of 2"]


def test_a_moment_of_availability_counts_to_the_microsecond(tmp_path: Path) -> None:
    write_log(str(tmp_path), READER, logged(READER, [row(0, at=1), row(0, at=2)]))
    asked = [
        label(READER, 0, START + timedelta(seconds=2) - timedelta(microseconds=n)) for n in (1, 0)
    ]
    found = training_set(
        label_frame(READER, asked), "user_features:read_count_24h", lake=str(tmp_path)
    )
    assert found["read_count_24h"].to_list() == [0, 1]


def test_an_age_counts_from_the_time_that_is_joined_on(tmp_path: Path) -> None:
    write_log(str(tmp_path), READER, logged(READER, [row(0, at=5, event=3)]))
    assert found_at(tmp_path, [5, 7, 8], ttl="2s") == [0, 0, None]
    assert found_at(tmp_path, [3, 5, 6], ttl="2s", mode="event-time") == [0, 0, None]
    other = {"user_features": "1s", "session_features": "1h"}
    assert found_at(tmp_path, [6, 7], ttl=other) == [0, None]
    assert found_at(tmp_path, [9999], ttl={"session_features": "1h"}) == [0]


def test_what_only_time_does_to_a_row_is_not_seen_before(tmp_path: Path) -> None:
    """An hour after its event a count falls to nothing; that row has the same newest event."""
    changes = [row(0, at=1, event=1), row(0, at=3600, event=1), row(0, at=7200, event=7100)]
    write_log(str(tmp_path), READER, logged(READER, changes))
    moments = [1, 3599, 3600, 7099, 7100]
    assert found_at(tmp_path, moments, mode="event-time") == [0, 0, 1, 1, 2]
    assert found_at(tmp_path, [0, *moments, 7200]) == [None, 0, 0, 1, 1, 1, 2]


def test_backfilled_rows_count_by_event_time_alone(tmp_path: Path) -> None:
    changes = [row(0, at=60, event=1, generation=0), row(0, at=90, event=80)]
    write_log(str(tmp_path), READER, logged(READER, changes))
    assert found_at(tmp_path, [70, 85, 90], mode="event-time") == [0, 1, 1]
    assert found_at(tmp_path, [70, 85, 90]) == [None, None, 1]


def test_features_are_read_of_a_part_of_the_log_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "VALUES_AT_ONCE", 2)
    rows = [row(who, at=at) for at in range(1, 6) for who in (0, 1)]
    write_log(str(tmp_path), READER, logged(READER, rows))
    assert found_at(tmp_path, [5, 1, 1, 0, 3]) == [8, 0, 0, None, 4]
