"""Of too many values a sample is kept that no order changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from features import sketches
from features.tiles import Tiles
from features.window_set import WindowSet
from features.windowed_step import empty, step
from features.windows import Aggregation, Grid, Kind, windows

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND
SCHEMA = {"event_id": pl.String, "event_at": pl.Int64, "user": pl.String, "product": pl.String}
VIEW = WindowSet(
    ("user",),
    [
        Grid(
            name=name,
            aggregation=Aggregation(kind=kind, of="product"),
            windows=windows("1h 24h"),
            doc="Some.",
        )
        for name, kind in (("distinct", Kind.DISTINCT), ("top", Kind.MOST))
    ],
)
GOLDEN = {"": 0.957673425, "p0000001": 0.876998855, "한국": 0.676674345, "xxxxxxxx": 0.638110755}
Event = tuple[str, int, str, str]


def views(products: Sequence[int], *, user: str = "bot", every: int = 1) -> list[Event]:
    return [
        (f"{user}{n}", NOW + n * every, user, f"p{product:07}")
        for n, product in enumerate(products)
    ]


def frame(events: Sequence[Event]) -> pl.DataFrame:
    return pl.DataFrame(list(events), schema=SCHEMA, orient="row")


def last_row(parts: Sequence[Sequence[Event]], user: str = "bot") -> tuple[dict[str, Any], Tiles]:
    state, shown = empty(VIEW, frame([])), {}
    for part in parts:
        done = step(VIEW, state, frame(part), NOW)
        state = done.state
        shown |= {row["user"]: row for row in done.rows.to_dicts()}
    row: dict[str, Any] = shown[user]
    return row, state.tiles


def test_a_bot_with_a_hundred_thousand_products_leaves_a_bounded_list() -> None:
    log = views(range(100_000))
    parts = [log[first : first + 20_000] for first in range(0, len(log), 20_000)]
    row, tiles = last_row(parts)
    assert tiles.values.height == sketches.MOST_VALUES
    assert row["distinct_1h"] == row["distinct_24h"] == 100_000
    assert row["top_1h"] is not None


def test_below_the_bound_it_is_exact_whoever_else_is_there() -> None:
    many = sketches.MOST_VALUES - 1
    log = [*views(range(5000)), *views([*range(many), 7], user="reader")]
    row, _ = last_row([log], "reader")
    assert (row["distinct_1h"], row["top_24h"]) == (many, "p0000007")


@pytest.mark.parametrize("seed", range(8))
def test_no_order_and_no_split_changes_the_answer(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "MOST_VALUES", 8)
    dice = random.Random(seed)
    log = views([dice.randrange(60) for _ in range(200)], every=dice.choice([1, SECOND]))
    wanted, tiles = last_row([log])
    assert tiles.values.height < len(tiles.distinct)
    dice.shuffle(log)
    cuts = sorted(dice.sample(range(1, 200), 4))
    parts = [log[a:b] for a, b in zip([0, *cuts], [*cuts, 200], strict=True)]
    found, _ = last_row(parts)
    assert found == wanted


def test_what_can_no_longer_be_taken_back_is_one_row() -> None:
    """Which read was the last counts, so each is a row of its own while it may change."""
    top = Grid(
        name="top",
        aggregation=Aggregation(kind=Kind.MOST, of="product", signed=True),
        windows=windows("24h"),
        doc="Some.",
    )
    readers = WindowSet(("user",), [top])
    reads = frame(views([1] * 3000)).with_columns(sign=pl.lit(1, pl.Int64))
    first = step(readers, empty(readers, reads), reads, NOW)
    assert (first.state.tiles.events.height, first.state.tiles.values.height) == (3000, 0)
    more = reads.head(1).with_columns(pl.col("event_at") + 3600 * SECOND, event_id=pl.lit("last"))
    second = step(readers, first.state, more, NOW + 3600 * SECOND)
    assert second.state.tiles.events["last_id"].to_list() == ["last"]
    assert second.state.tiles.values["count"].to_list() == [3000]
    assert second.rows["top_24h"].to_list() == ["p0000001"]


def test_a_hash_is_the_same_everywhere() -> None:
    """What is kept was decided by it: another hash would drop what stands in the state."""
    values = pl.DataFrame({"value": ["", "p0000001", "한국", "x" * 300]})
    hashed = dict(sketches.with_hashes(values).iter_rows())
    assert {text[:8]: round(one, 9) for text, one in hashed.items()} == GOLDEN


def test_hashes_are_spread_evenly() -> None:
    values = pl.DataFrame({"value": [f"prod_{n:06}" for n in range(10_000)]})
    hashes = sketches.with_hashes(values)[sketches.HASH].sort()
    assert hashes.is_unique().all()
    # Kolmogorov-Smirnov: the farthest that 10,000 uniform ones stray, once in a thousand times.
    ranks = pl.int_range(1, 10_001, eager=True) / 10_000
    assert (hashes - ranks).abs().max() < 1.95 / 100


def test_how_many_tiles_were_capped_is_said() -> None:
    state = empty(VIEW, frame([]))
    some = step(VIEW, state, frame(views(range(sketches.MOST_VALUES))), NOW)
    assert some.capped.is_empty()
    more = step(VIEW, some.state, frame(views([sketches.MOST_VALUES])), NOW)
    assert more.capped.height == 1
