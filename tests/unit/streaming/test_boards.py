"""Boards on the driver: every row shows the place that it has among all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.boards import compared, of_episodes

from features.columns import polars_schema
from features.dimensions import EPISODES, no_dimensions
from features.views import VIEWS
from streaming.boards import EVERY_US, Boards
from streaming.ports import Clock, Epoch, Output
from streaming.sinks.memory import MemoryEpochStore

AT = datetime(2026, 1, 1, tzinfo=UTC)
GENRES = {"e1": "romance", "e2": "romance", "e3": "romance", "e4": "action"}
KNOWN = no_dimensions()._replace(
    episodes=pl.DataFrame(
        [(episode, genre, ["new"], 4.5) for episode, genre in GENRES.items()],
        EPISODES,
        orient="row",
    )
)
EPISODE, GROUP = "episode_features", "commerce_experiment_features"
Row = dict[str, Any]


def frame(view: str, *rows: Row, by_event: bool = True) -> pl.DataFrame:
    declared = VIEWS[view]
    assert declared.windows is not None
    schema = polars_schema((*declared.entity, *declared.windows.columns))
    found = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    return found.with_columns(event_at=pl.lit(AT), by_event=pl.lit(by_event))


def episode(name: str, reads: int, completion: float = 0.5, exits: float = 0.5) -> Row:
    return {
        "episode_id": name,
        "read_count_24h": reads,
        "read_count_7d": reads,
        "avg_completion_rate_7d": completion,
        "exit_rate_7d": exits,
        "avg_dwell_time_ms_7d": 1000.0 * completion,
    }


def boards(store: MemoryEpochStore | None = None, *, is_replay: bool = False) -> Boards:
    served = (store or MemoryEpochStore()).newest
    return Boards((EPISODE, GROUP), served, KNOWN, is_replay=is_replay)


def ranks(rows: pl.DataFrame) -> dict[str, Any]:
    return dict(rows.select("episode_id", "current_popularity_rank").rows())


rates = st.integers(0, 8).map(lambda eighths: eighths / 8)


@given(st.lists(st.tuples(st.integers(0, 60), rates, rates), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_an_episode_has_the_rank_and_the_quality_of_the_slow_way(
    found: list[tuple[int, float, float]],
) -> None:
    rows = [
        episode(f"e{number}", reads, completion, exits) | {"avg_dwell_time_ms_7d": 900 * exits}
        for number, (reads, completion, exits) in enumerate(found, start=1)
    ]
    shown = boards(is_replay=True).show({EPISODE: frame(EPISODE, *rows)}, 0)[EPISODE]
    wanted = of_episodes({(row["episode_id"],): row for row in rows}, GENRES)
    for row in shown.to_dicts():
        expected = wanted[row["episode_id"],]
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        assert row["tags"] == (["new"] if row["episode_id"] in GENRES else None)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 50), rates), max_size=3))
@settings(max_examples=40, deadline=None)
def test_groups_are_tested_against_a(found: list[tuple[str, int, float]]) -> None:
    rows = {
        (group,): {"experiment_group": group}
        | {f"session_count_{w}": count for w in ("1h", "24h", "7d")}
        | {f"conversion_rate_{w}": rate if count else None for w in ("1h", "24h", "7d")}
        for group, count, rate in found
    }
    shown = boards(is_replay=True).show({GROUP: frame(GROUP, *rows.values())}, 0)[GROUP]
    wanted = compared(rows, "conversion_rate", "session_count")
    assert shown.height == len(rows)
    for row in shown.to_dicts():
        expected = wanted[row["experiment_group"],]
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_row_that_nothing_touched_changes_with_its_rank() -> None:
    board = boards(is_replay=True)
    board.show({EPISODE: frame(EPISODE, episode("e1", 5), episode("e4", 1))}, 0)
    shown = board.show({EPISODE: frame(EPISODE, episode("e4", 9))}, 1)[EPISODE]
    assert ranks(shown) == {"e4": 1, "e1": 2}
    assert dict(shown.select("episode_id", "by_event").rows()) == {"e4": True, "e1": False}


def test_while_the_stream_runs_all_are_looked_at_from_time_to_time() -> None:
    board = boards()
    first = board.show({EPISODE: frame(EPISODE, episode("e1", 5), episode("e2", 1))}, EVERY_US)
    assert ranks(first[EPISODE]) == {"e1": 1, "e2": 2}
    assert board.wanted_at_us is None
    soon = board.show({EPISODE: frame(EPISODE, episode("e2", 9))}, EVERY_US + 1)
    assert ranks(soon[EPISODE]) == {"e2": 2}
    assert board.wanted_at_us == 2 * EVERY_US
    later = board.show({}, 2 * EVERY_US)
    assert ranks(later[EPISODE]) == {"e1": 2, "e2": 1}
    assert board.show({}, 9 * EVERY_US) == {}


def test_after_a_restart_the_rows_are_those_that_are_served() -> None:
    store = MemoryEpochStore()
    shown = boards(store, is_replay=True).show({EPISODE: frame(EPISODE, episode("e1", 5))}, 0)
    first = Epoch(job="j", checkpoint_id="c", number=0, generation=1, committed_at_us=0)
    output = Output(rows=shown, events={}, dead=pl.DataFrame(), rows_in=1, duplicates=0)
    store.commit(first, output, Clock())
    again = boards(store, is_replay=True)
    assert ranks(again.show({EPISODE: frame(EPISODE, episode("e2", 9))}, 1)[EPISODE]) == {
        "e1": 2,
        "e2": 1,
    }
