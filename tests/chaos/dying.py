"""`userflow stream` for one job, which kills itself at one point of one epoch.

    python tests/chaos/dying.py JOB POINT [--live] [--first EPOCH] [--without FENCE]

The stores are the real ones, one after the other instead of side by side, so that "between" has a
meaning. It dies in the first epoch that has something for all of them, or in the first from
`--first` on that has something for most; `never` lets it live. `--without` takes one fence away, to
see that a test notices.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl

from infra.endpoints import Endpoints
from infra.logs import configure_logs
from infra.settings import load_settings
from infra.signals import stopping
from infra.streams import Stores, all_stores, run_jobs, spark_session
from streaming.jobs import job_named
from streaming.ports import Clock, Epoch, EpochStore, Output, Sink, Write, no_refusals
from streaming.sinks import delta, postgres, postgres_sql, redis, topics
from streaming.watermark import DELAY_US

BEFORE, AFTER = "before postgres", "after postgres"
NEVER = "never"
# The stores in the order in which they are written; after each of them it can die.
ORDER = ("dead-letters", "redis", "delta", "topics")
Chosen = Callable[[Epoch, Output], bool]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_rich(epoch: Epoch, output: Output) -> bool:
    """Whether every store has something to write, and the rules over events something to tell."""
    told = output.sent or epoch.job != "commerce"
    return bool(epoch.number and output.dead.height and output.events and output.rows and told)


def is_rich_from(first: int) -> Chosen:
    """Whether it is that late, and every store has something to write."""

    def chosen(epoch: Epoch, output: Output) -> bool:
        is_full = output.dead.height and output.events and output.rows
        return bool(epoch.number >= first and is_full)

    return chosen


def is_of_time_alone(epoch: Epoch, output: Output) -> bool:
    """Whether sessions closed although no event came."""
    return bool(epoch.number and not output.rows_in and "session_features" in output.rows)


def is_of_the_wall_clock(clock: Clock) -> bool:
    """Whether no event has brought the watermark where it is."""
    of_events = max(clock.event_times.values(), default=0) - DELAY_US
    return clock.watermark_us is not None and clock.watermark_us > of_events


class DyingStore:
    """The store that decides."""

    def __init__(self, store: EpochStore, point: str, chosen: Chosen, *, is_live: bool) -> None:
        self._store = store
        self._point = point
        self._chosen = chosen
        self._is_live = is_live

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, epoch: Epoch, output: Output, clock: Clock) -> tuple[Epoch, Output, Clock]:
        is_mine = self._chosen(epoch, output) and (not self._is_live or is_of_the_wall_clock(clock))
        if is_mine and self._point == BEFORE:
            die()
        committed = self._store.commit(epoch, output, clock)
        if is_mine and self._point == AFTER:
            die()
        return committed


class InOrder(Sink):
    """The stores that follow as one."""

    name = "all"

    def __init__(self, sinks: Sequence[Sink], point: str, chosen: Chosen) -> None:
        self._sinks = sorted(sinks, key=lambda one: one.name in ORDER and ORDER.index(one.name))
        self._point = point
        self._chosen = chosen

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        return partial(self._write, epoch, output)

    def _write(self, epoch: Epoch, output: Output) -> pl.DataFrame:
        is_mine = self._chosen(epoch, output)
        refused = no_refusals()
        for sink in self._sinks:
            refused = pl.concat([refused, sink.write(epoch, output)])
            if is_mine and self._point == f"after {sink.name}":
                die()
        return refused

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def without_claim() -> None:
    """Every attempt believes that it is the first."""
    again = (
        "ON CONFLICT (job, checkpoint_id, epoch) DO UPDATE SET committed_at = excluded.committed_at"
    )
    postgres_sql.CLAIM_EPOCH = postgres_sql.CLAIM_EPOCH.replace("ON CONFLICT DO NOTHING", again)


def without_guard() -> None:
    """Redis takes whatever comes, as often as it comes."""
    blind = redis.OLDER.replace("return g == nil or", "return true or g == nil or")
    for name in ("SCRIPT", "DELETE"):
        setattr(redis, name, getattr(redis, name).replace(redis.OLDER, blind))


def without_transaction() -> None:
    """Delta does not ask which epochs it holds."""
    delta._newest = lambda *_: -1


def without_pin() -> None:
    """Every attempt has the watermark of its own moment."""
    postgres.PostgresEpochStore.pin_watermark = lambda *arguments: arguments[-1]  # type: ignore[method-assign]


def without_names() -> None:
    """A message that is sent again has another name."""
    before = topics._messages

    def renamed(view: Any, declared: Any, epoch: Epoch, rows: Any) -> Any:
        other = Epoch(
            job=epoch.job,
            checkpoint_id=f"{epoch.checkpoint_id}-{os.getpid()}",
            number=epoch.number,
            generation=epoch.generation,
            committed_at_us=epoch.committed_at_us,
        )
        return before(view, declared, other, rows)

    topics._messages = renamed


FENCES = {
    "claim": without_claim,
    "guard": without_guard,
    "transaction": without_transaction,
    "pin": without_pin,
    "names": without_names,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("point")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--first", type=int)
    parser.add_argument("--without", choices=FENCES)
    options = parser.parse_args()
    if options.without:
        FENCES[options.without]()
    chosen = is_of_time_alone if options.live else is_rich
    if options.first is not None:
        chosen = is_rich_from(options.first)

    @contextmanager
    def open_stores(endpoints: Endpoints) -> Iterator[Stores]:
        with all_stores(endpoints) as stores:
            dying = DyingStore(stores.epochs, options.point, chosen, is_live=options.live)
            yield Stores(dying, [InOrder(stores.sinks, options.point, chosen)])

    settings = load_settings()
    configure_logs(settings.log_level)
    spark = spark_session(settings, "local[2]")
    try:
        with stopping() as stop:
            run_jobs(
                [job_named(options.job)],
                spark=spark,
                open_stores=open_stores,
                endpoints=Endpoints.read(settings.home),
                settings=settings,
                stop=stop,
                available_now=not options.live,
            )
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
