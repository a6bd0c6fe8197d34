"""A value counts in its last tile; of too many a sample stands for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl
import pytest
from older_tiles import of_an_older_version

from features import distinct, sketches
from features.older_tiles import adopted
from features.window_set import WindowSet
from features.windowed_step import Step, WindowedState, empty, step
from features.windows import Aggregation, Grid, Kind, windows

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOW = 1_790_000_000 * SECOND // HOUR * HOUR
SCHEMA = {
    "event_id": pl.String, "event_at": pl.Int64, "shop": pl.String, "buyer": pl.String,
    "sign": pl.Int64,
}  # fmt: skip


def view_of(over: str, *, signed: bool = False) -> WindowSet:
    buyers = Aggregation(kind=Kind.DISTINCT, of="buyer", signed=signed)
    return WindowSet(
        ("shop",), [Grid(name="buyers", aggregation=buyers, windows=windows(over), doc="Some.")]
    )


VIEW = view_of("1h 24h")


def visits(buyers: Iterable[int], at: int = NOW, sign: int = 1) -> pl.DataFrame:
    rows = [(f"e{n}", at, "a", f"b{n}", sign) for n in buyers]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def stepped(
    rows: Sequence[tuple[pl.DataFrame, int]],
    view: WindowSet = VIEW,
    state: WindowedState | None = None,
) -> Step:
    """The last of some steps, each of rows and a watermark."""
    state = state or empty(view, visits([]))
    for some, watermark in rows:
        done = step(view, state, some, watermark)
        state = done.state
    return done


def shown(done: Step) -> list[int]:
    return [done.rows[name][0] for name in done.rows.columns if name.startswith("buyers")]


def test_a_value_seen_again_moves_to_its_last_tile() -> None:
    log = [(visits([1, 2]), NOW), (visits([2, 3], NOW + 2 * HOUR), NOW + 2 * HOUR)]
    done = stepped(log)
    assert shown(done) == [2, 3]
    assert sorted(done.state.tiles.distinct.select("value", "tile").rows()) == [
        ("b1", NOW), ("b2", NOW + 2 * HOUR), ("b3", NOW + 2 * HOUR),
    ]  # fmt: skip
    assert shown(stepped([*log, (visits([3], NOW), NOW + 2 * HOUR)])) == [2, 3]


def test_what_is_taken_back_leaves_the_tile_before() -> None:
    view = view_of("24h", signed=True)
    log = [(visits([1]), NOW), (visits([1], NOW + HOUR), NOW)]
    assert stepped(log, view).state.tiles.distinct.height == 2
    back = stepped([*log, (visits([1], NOW + HOUR, -1), NOW)], view)
    assert back.state.tiles.distinct["tile"].to_list() == [NOW]
    assert shown(back) == [1]
    none = stepped([(visits([1], NOW, -1), NOW)], view, back.state)
    assert shown(none) == [0]
    assert none.state.tiles.distinct.is_empty()
    settled = stepped([*log, (visits([2]), NOW + 3 * HOUR)], view)
    assert settled.state.tiles.distinct.filter(value="b1")["tile"].to_list() == [NOW + HOUR]


def test_the_values_of_new_rows_are_all_that_has_to_be_known() -> None:
    whole = stepped([(visits(range(9)), NOW)]).state
    mine = whole.tiles.distinct.filter(pl.col("value") == "b7")
    part = WindowedState(whole.tiles._replace(distinct=mine), whole.entities)
    more = (visits([7, 20], NOW + SECOND), NOW)
    assert shown(stepped([more], VIEW, part)) == shown(stepped([more], VIEW, whole)) == [10, 10]


def test_of_a_million_values_a_bounded_sample_is_left() -> None:
    """All within the last hour; and then, an hour later, some come that are counted exactly."""
    million = pl.select(n=pl.int_range(1_000_000)).select(
        event_id=pl.format("e{}", "n"),
        event_at=pl.lit(NOW),
        shop=pl.lit("a"),
        buyer=pl.format("b{}", "n"),
        sign=pl.lit(1, pl.Int64),
    )
    done = stepped([(part, NOW) for part in million.iter_slices(300_000)])
    assert shown(done) == [pytest.approx(1_000_000, rel=0.02)] * 2
    assert done.state.tiles.distinct.height <= distinct.MOST_VALUES
    assert done.capped["shop"].to_list() == ["a"]
    later = NOW + 2 * HOUR
    more = visits(range(2_000_000, 2_005_000), later)
    hour, day = shown(stepped([(more, later)], VIEW, done.state))
    assert hour == 5000
    assert day - 5000 == shown(done)[1]


def test_the_standard_error_of_a_sample_is_a_quarter_of_the_bound_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The root of the mean square of relative errors, over a hundred shops that share no buyer."""
    most, shops, size = 4096, 100, 20_000
    monkeypatch.setattr(distinct, "MOST_VALUES", most)
    rows = pl.select(n=pl.int_range(shops * size)).select(
        event_id=pl.lit("e"),
        event_at=pl.lit(NOW),
        shop=pl.format("s{}", pl.col("n") // size),
        buyer=pl.format("b{}", "n"),
        sign=pl.lit(1, pl.Int64),
    )
    shuffled = rows.sample(fraction=1, seed=3, shuffle=True)
    done = stepped([(part, NOW) for part in shuffled.iter_slices(700_000)])
    errors = done.rows["buyers_1h"] / size - 1
    error = (errors**2).mean() ** 0.5
    assert 0.25 < error * (most / 4) ** 0.5 < 1.1
    assert abs(errors.mean()) < 3 * error / shops**0.5


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("later", [0, 10 * SECOND])
def test_who_comes_again_is_no_longer_a_sample(
    monkeypatch: pytest.MonkeyPatch, later: int, *, signed: bool
) -> None:
    view = view_of("1h 24h", signed=signed)
    monkeypatch.setattr(distinct, "MOST_VALUES", 64)
    done = stepped([(visits(range(100)), NOW)], view)
    assert done.state.tiles.distinct.height <= 64
    monkeypatch.setattr(distinct, "MOST_VALUES", 1000)
    again = stepped([(visits(range(100), NOW + later), NOW)], view, done.state)
    assert shown(again) == [100, 100]


def test_what_no_window_covers_is_not_kept() -> None:
    later = NOW + 30 * HOUR
    done = stepped([(visits([1]), NOW), (visits([2], later), NOW), (visits([3], later), later)])
    assert sorted(done.state.tiles.distinct["value"]) == ["b2", "b3"]


def test_a_full_tile_of_an_older_version_stands_for_as_many() -> None:
    """It kept the values with the smallest hashes."""
    view = view_of("1h 24h", signed=True)
    whole = stepped([(visits(range(20_000)), NOW)], view).state
    older = of_an_older_version(view, whole.tiles)
    full, _ = sketches.capped(older.values, ["shop"], ["tile_us", "partial"])
    state = WindowedState(adopted(view, older._replace(values=full)), whole.entities)
    done = stepped([(visits([30_000]), NOW)], view, state)
    assert done.state.tiles.distinct.height == sketches.MOST_VALUES + 1
    assert shown(done) == [pytest.approx(20_000, rel=0.06)] * 2
