"""Sessions equal the naive oracle, whatever the order, the copies and the batches."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.sessions import final_watermark, session_features

from features.dedup import SEEN, sift
from features.webtoon_session import WEBTOON_SESSION as READING

SECOND = 1_000_000
MINUTE = 60 * SECOND
EVENT = {
    "event_id": pl.String,
    "event_at": pl.Int64,
    "session_id": pl.String,
    "episode_id": pl.String,
    "event_type": pl.String,
    "scroll_ratio": pl.Float64,
    **dict.fromkeys(READING.of_first, pl.String),
}
NEVER = -(1 << 62)


def event(number: int, at: int, kind: str = "scroll", **more: Any) -> dict[str, Any]:
    defaults = dict.fromkeys(READING.of_first, "x")
    return {
        "event_id": f"e{number}",
        "event_at": at,
        "session_id": "s",
        "episode_id": "ep",
        "event_type": kind,
        "scroll_ratio": 0.5 if kind == "scroll" else None,
        **defaults,
        **more,
    }


def frame(events: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=EVENT)


def replay(batches: list[list[dict[str, Any]]], watermark: int) -> dict[Any, dict[str, Any]]:
    """Feed batches without letting time pass, then sweep once."""
    visits, seen = READING.empty(), pl.DataFrame(schema=SEEN)
    rows: dict[Any, dict[str, Any]] = {}
    for batch in batches:
        sifted = sift(seen, frame(batch), NEVER)
        step = READING.step(visits, sifted.fresh, NEVER)
        assert step.late.is_empty()
        visits = step.visits
        seen = pl.concat([seen, sifted.fresh.select(*SEEN)])
        rows |= {(r["session_id"], r["episode_id"]): r for r in step.rows.to_dicts()}
    visits, closed = READING.advance(visits, watermark)
    return rows | {(r["session_id"], r["episode_id"]): r for r in closed.to_dicts()}


def compare(found: dict[Any, dict[str, Any]], events: list[dict[str, Any]], watermark: int) -> None:
    expected = session_features(events, watermark, {})
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        mine = found[key]
        for name, value in row.items():
            if name == "genre":
                continue
            if isinstance(value, float):
                assert mine[name] == pytest.approx(value, rel=1e-9), (key, name)
            else:
                assert mine[name] == value, (key, name)


ats = st.one_of(
    st.integers(0, 3 * 3600).map(lambda s: s * SECOND),
    # Around the gap, to the microsecond.
    st.sampled_from([n * 30 * MINUTE + d for n in range(4) for d in (-1, 0, 1)]),
)


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = draw(
        st.lists(
            st.tuples(
                ats,
                st.sampled_from(["s1", "s2", "s 3 😀"]),
                st.sampled_from(["ep1", "ep2"]),
                st.sampled_from(["enter", "scroll", "complete", "exit"]),
                st.floats(0, 1),
                st.sampled_from(["a", "b", None]),
            ),
            min_size=1,
            max_size=25,
        )
    )
    return [
        event(
            number,
            at,
            kind,
            session_id=session,
            episode_id=episode,
            scroll_ratio=ratio if kind == "scroll" or number % 3 else None,
            user_id=f"user-{number % 4}",
            experiment_group=group,
        )
        for number, (at, session, episode, kind, ratio, group) in enumerate(rows)
    ]


@settings(max_examples=70, deadline=None)
@given(logs(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_order_copies_and_batches_give_the_oracle(
    log: list[dict[str, Any]], rng: Any, parts: int
) -> None:
    shuffled = [*log, *rng.sample(log, k=len(log) // 2)]
    rng.shuffle(shuffled)
    batches: list[list[dict[str, Any]]] = [[] for _ in range(parts)]
    for one in shuffled:
        batches[rng.randrange(parts)].append(one)
    watermark = final_watermark(log)
    compare(replay(batches, watermark), log, watermark)


@settings(max_examples=50, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_a_watermark_that_moves_along_changes_nothing(log: list[dict[str, Any]], rng: Any) -> None:
    """Disorder within the delay: nothing is late, and every batch boundary gives the same."""
    arrival = sorted(log, key=lambda e: e["event_at"] + rng.randrange(10 * SECOND))
    visits = READING.empty()
    rows: dict[Any, dict[str, Any]] = {}
    watermark, read = NEVER, []
    while arrival:
        size = rng.randint(1, 5)
        batch, arrival = arrival[:size], arrival[size:]
        visits, closed = READING.advance(visits, watermark)
        step = READING.step(visits, frame(batch), watermark)
        assert step.late.is_empty()
        visits = step.visits
        for found in (closed, step.rows):
            rows |= {(r["session_id"], r["episode_id"]): r for r in found.to_dicts()}
        read += batch
        watermark = final_watermark(read)
    _, closed = READING.advance(visits, watermark)
    rows |= {(r["session_id"], r["episode_id"]): r for r in closed.to_dicts()}
    compare(rows, log, watermark)


@pytest.mark.parametrize(("gap", "count"), [(30 * MINUTE, 2), (30 * MINUTE + 1, 1)])
def test_exactly_the_gap_is_the_same_visit(gap: int, count: int) -> None:
    step = READING.step(READING.empty(), frame([event(1, 0), event(2, gap)]), NEVER)
    assert step.rows["event_count"].to_list() == [count]


def test_an_event_between_two_visits_makes_them_one() -> None:
    visits = READING.step(
        READING.empty(), frame([event(1, 0), event(2, 40 * MINUTE)]), NEVER
    ).visits
    assert visits.height == 2
    bridged = READING.step(visits, frame([event(3, 20 * MINUTE)]), NEVER)
    assert bridged.visits.height == 1
    assert bridged.rows["event_count"].to_list() == [3]


@pytest.mark.parametrize(
    ("kind", "passed"), [("exit", 0), ("complete", 0), ("scroll", 30 * MINUTE)]
)
def test_a_visit_closes_when_the_watermark_has_passed(kind: str, passed: int) -> None:
    visits = READING.step(READING.empty(), frame([event(1, 0, kind)]), NEVER).visits
    assert visits.select(READING.due().min()).item() == passed
    visits, closed = READING.advance(visits, passed)
    assert closed.is_empty()
    _, closed = READING.advance(visits, passed + 1)
    assert closed["is_closed"].to_list() == [True]


def test_the_state_outlives_the_exit_and_dies_after_the_gap() -> None:
    visits = READING.step(READING.empty(), frame([event(1, 0, "exit")]), NEVER).visits
    visits, _ = READING.advance(visits, 30 * MINUTE)
    assert visits.height == 1
    again = READING.step(visits, frame([event(2, 29 * MINUTE)]), 30 * MINUTE)
    assert again.rows.select("event_count", "is_closed").rows() == [(2, True)]
    visits, closed = READING.advance(visits, 30 * MINUTE + 1)
    assert (visits.height, closed.height) == (0, 0)


def test_an_event_of_a_visit_that_is_over_is_late() -> None:
    empty = READING.empty()
    step = READING.step(empty, frame([event(1, 0), event(2, 50 * MINUTE)]), 40 * MINUTE)
    assert step.late["event_id"].to_list() == ["e1"]
    assert step.rows["event_count"].to_list() == [1]


def test_an_old_event_of_a_visit_that_lives_is_taken() -> None:
    old = [event(1, 0), event(2, 25 * MINUTE), event(3, 50 * MINUTE)]
    step = READING.step(READING.empty(), frame(old), 40 * MINUTE)
    assert step.late.is_empty()
    assert step.rows["event_count"].to_list() == [3]


def test_a_copy_is_a_duplicate_however_old_and_an_unknown_old_event_is_late() -> None:
    seen = frame([event(1, 0)]).select(*SEEN)
    sifted = sift(seen, frame([event(1, 0), event(2, 0), event(3, 5), event(3, 5)]), 5)
    assert sifted.duplicates == 2
    assert sifted.late["event_id"].to_list() == ["e2"]
    assert sifted.fresh["event_id"].to_list() == ["e3"]
