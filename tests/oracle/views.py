"""What every view shows of a finished set of accepted events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from features.views import VIEWS
from oracle.boards import compared, of_episodes
from oracle.patterns import flags
from oracle.reads import reads, reads_by
from oracle.sessions import session_features
from oracle.shop_sessions import (
    commerce_sessions,
    derived_sessions,
    sessions_of_groups,
    sessions_of_user,
)
from oracle.windows import product_rows, shopping_rows, windowed

__all__ = ["Log", "expected", "with_categories"]

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


class Log(NamedTuple):
    """`events`: accepted events of one topic, each once, times in microseconds; `watermark`: the
    final one; what is known of episodes and products.
    """

    events: Sequence[Row]
    watermark: int
    genres: Mapping[str, str]
    categories: Mapping[str, str]


def expected(view: str, log: Log) -> Rows:
    """The row of every entity, by the values of its key."""
    return ORACLES[view](view, log)


def sessions(_: str, log: Log) -> Rows:
    return dict(session_features(list(log.events), log.watermark, dict(log.genres)))


def over_reads(*key: str) -> Callable[[str, Log], Rows]:
    def rows(view: str, log: Log) -> Rows:
        return over(view, log, reads_by(reads(log.events, log.genres), *key))

    return rows


def shoppers(view: str, log: Log) -> Rows:
    mine: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for event in log.events:
        if event["user_id"] is not None:
            mine[event["user_id"],].append(event)
    shown = flags(with_categories(log), log.watermark)
    return over(
        view,
        log,
        {(user,): rows_of(events, shown.get(user, []), log) for (user,), events in mine.items()},
    )


def rows_of(events: Sequence[Row], shown: Sequence[tuple[int, str]], log: Log) -> list[Row]:
    """A shopper's events and items, sessions, and changes of the pattern shown."""
    rows = [row | {"pattern_detected": None} for row in shopping_rows(events, log.categories)]
    changes = [
        dict.fromkeys(rows[0]) | {"event_at": at, "event_id": "", "pattern_detected": pattern}
        for at, pattern in shown
    ]
    return [*rows, *sessions_of_user(events, rows[0]), *changes]


def with_categories(log: Log) -> list[Row]:
    """What the rules over events are shown."""
    return [
        event | {"category": event["category"] or log.categories.get(event["product_id"])}
        for event in log.events
    ]


def products(view: str, log: Log) -> Rows:
    rows = product_rows(log.events, log.categories)
    return over(view, log, {(product,): mine for product, mine in rows.items()})


def groups(view: str, log: Log) -> Rows:
    rows = sessions_of_groups(log.events)
    return over(view, log, {(group,): mine for group, mine in rows.items()})


def over(view: str, log: Log, rows: Mapping[tuple[Any, ...], Sequence[Row]]) -> Rows:
    declared = VIEWS[view].windows
    assert declared is not None
    return {
        key: windowed(declared, mine, max(log.watermark, *(row["event_at"] for row in mine)))
        for key, mine in rows.items()
    }


def with_board(
    rows: Callable[[str, Log], Rows], board: Callable[[Rows, Log], Rows]
) -> Callable[[str, Log], Rows]:
    return lambda view, log: board(rows(view, log), log)


ORACLES: dict[str, Callable[[str, Log], Rows]] = {
    "session_features": sessions,
    "user_features": over_reads("user_id"),
    "episode_features": with_board(
        over_reads("episode_id"), lambda rows, log: of_episodes(rows, log.genres)
    ),
    "segment_features": over_reads("country", "genre", "hour_of_day"),
    "experiment_features": with_board(
        over_reads("experiment_group", "ui_version"),
        lambda rows, _: compared(rows, "exit_rate", "read_count"),
    ),
    "commerce_session_features": lambda _, log: commerce_sessions(log.events),
    "derived_session_features": lambda _, log: derived_sessions(log.events),
    "commerce_user_features": shoppers,
    "product_features": products,
    "commerce_experiment_features": with_board(
        groups, lambda rows, _: compared(rows, "conversion_rate", "session_count")
    ),
}
assert ORACLES.keys() == VIEWS.keys()
