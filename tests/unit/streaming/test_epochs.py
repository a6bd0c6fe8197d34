"""What an epoch refuses before it has read anything, and what it learns from what it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import MagicMock

import polars as pl
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from features.columns import polars_type
from features.dimensions import no_dimensions
from features.views import VIEWS
from streaming import epochs
from streaming.decode_stage import READ
from streaming.epochs import EpochRunner, LostEpoch
from streaming.jobs import JOBS
from streaming.outcome import Outcome
from streaming.packing import to_blob
from streaming.ports import Epoch, Output, Write
from streaming.sinks.memory import ClockStore, MemoryEpochStore, MemorySink

SECOND = 1_000_000


def runner(*, most: int = 10, ends: Mapping[str, int] | None = None) -> EpochRunner:
    return EpochRunner(
        JOBS["webtoon"],
        store=ClockStore(),
        sinks=[],
        end_offsets=lambda _: dict(ends or {}),
        dimensions=no_dimensions(),
        max_offsets=most,
        is_replay=True,
    )


def batch(kind: str, blobs: Sequence[bytes]) -> MagicMock:
    """What Spark hands over: rows that the stages put out."""
    made = MagicMock()
    made.toArrow.return_value = pa.table({"kind": [kind] * len(blobs), "blob": blobs})
    return made


def test_a_checkpoint_whose_epochs_the_store_has_lost_does_not_start_again_from_nothing() -> None:
    nothing = MagicMock()  # nothing of it is read before the store is asked
    with pytest.raises(LostEpoch, match=r"Epoch 6 of job webtoon is missing"):
        runner()(nothing, 7)


def test_a_full_epoch_that_stops_a_record_short_leaves_the_watermark_to_what_is_unread() -> None:
    read = pl.DataFrame(
        [("t/0", 499, 499, 100 * SECOND), ("t/1", 499, 499, 50 * SECOND)], READ, orient="row"
    )
    job = runner(most=1000, ends={"t/0": 499, "t/1": 5000})
    job(batch("read", [to_blob(read)]), 0)
    assert job.clock is not None
    assert job.clock.watermark_us == 40 * SECOND


def test_the_line_of_an_epoch_names_the_keys_that_had_most_too_much_to_remember() -> None:
    of_one, of_other = Outcome(0), Outcome(1)
    of_one.limit("user_features", capped=["bot", "bot", *"abcdefg"], behind_us=61 * SECOND)
    of_other.limit("user_features", late=2, capped=["crawler", "crawler", "crawler"])
    blobs = [blob for _, _, blob in (*of_one.rows, *of_other.rows)]
    with capture_logs() as lines:
        runner()(batch("limits", blobs), 0)
    assert lines[0]["late_for"] == {"user_features": 2}
    most = {"crawler": 3, "bot": 2, "a": 1, "b": 1, "c": 1}
    assert lines[0]["capped"] == {"user_features": most}
    assert lines[0]["decay_lag"] == {"user_features": 61.0}


@pytest.mark.parametrize(("records", "wanted"), [(900, "NO_CODEGEN"), (400_000, "FALLBACK")])
def test_code_is_generated_for_the_next_epoch_where_it_pays(records: int, wanted: str) -> None:
    read = pl.DataFrame([("t/0", records, records, 100 * SECOND)], READ, orient="row")
    made = batch("read", [to_blob(read)])
    runner()(made, 0)
    made.sparkSession.conf.set.assert_called_once_with("spark.sql.codegen.factoryMode", wanted)


def of_episodes(store: MemoryEpochStore, monkeypatch: pytest.MonkeyPatch, *, at_s: int) -> Any:
    """A process of a running stream that keeps one view with ranks, at that time."""
    monkeypatch.setattr(epochs, "_now_us", lambda: at_s * SECOND)
    return EpochRunner(
        JOBS["webtoon"].only(["episode_features"]),
        store=store,
        sinks=[],
        end_offsets=lambda _: {},
        dimensions=no_dimensions(),
        max_offsets=10,
        is_replay=False,
    )


def episode(name: str, reads: int) -> MagicMock:
    """An epoch in which one episode was read."""
    declared = VIEWS["episode_features"].windows
    assert declared is not None
    columns = {"episode_id": pl.String, **{one.name: polars_type(one) for one in declared.columns}}
    row = {"episode_id": name, "read_count_24h": reads, "read_count_7d": reads}
    rows = pl.DataFrame([{column: row.get(column) for column in columns}], columns)
    stamped = rows.with_columns(event_at=pl.lit(SECOND, pl.Int64), by_event=pl.lit(value=True))
    made = batch("rows:episode_features", [to_blob(stamped)])
    made.sparkSession.sparkContext.getLocalProperty.return_value = "checkpoint"
    return made


def ranks(store: MemoryEpochStore) -> dict[str, int]:
    rows = store.rows("episode_features")
    return dict(rows.select("episode_id", "current_popularity_rank").rows())


def test_a_rank_that_a_repeated_epoch_did_not_write_is_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryEpochStore()
    before = of_episodes(store, monkeypatch, at_s=100)
    before(episode("a", 10), 0)
    before(episode("b", 20), 1)  # ranks are not looked at again yet
    after = of_episodes(store, monkeypatch, at_s=101)  # Spark had not committed epoch 1
    after(episode("b", 20), 1)
    monkeypatch.setattr(epochs, "_now_us", lambda: 200 * SECOND)
    after(episode("c", 5), 2)
    assert ranks(store) == {"b": 1, "a": 2, "c": 3}


def test_a_rank_that_a_failed_epoch_did_not_write_is_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryEpochStore()
    job = of_episodes(store, monkeypatch, at_s=100)
    job(episode("a", 10), 0)
    monkeypatch.setattr(epochs, "_now_us", lambda: 200 * SECOND)
    with monkeypatch.context() as away:
        away.setattr(store, "commit", MagicMock(side_effect=OSError("away")))
        with pytest.raises(OSError, match="away"):
            job(episode("b", 20), 1)
    job(episode("b", 20), 1)
    assert ranks(store) == {"b": 1, "a": 2}


class Follower(MemorySink):
    """Says what it was given, and whether it got as far as writing."""

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        made.append(("ready", epoch.committed_at_us))
        write = super().prepared(epoch, output)

        def noted() -> pl.DataFrame:
            made.append(("written", epoch.committed_at_us))
            return write()

        return noted


made: list[tuple[str, int]] = []


def test_stores_follow_what_the_first_attempt_of_an_epoch_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made.clear()
    store = MemoryEpochStore()
    of_episodes(store, monkeypatch, at_s=100)(episode("a", 10), 0)
    again = of_episodes(store, monkeypatch, at_s=101)
    again.sinks = [Follower()]
    again(episode("a", 10), 0)
    at, first = 101 * SECOND, 100 * SECOND
    assert sorted(made) == [("ready", first), ("ready", at), ("written", first)]


def test_no_store_follows_an_epoch_that_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    store = MemoryEpochStore()
    job = of_episodes(store, monkeypatch, at_s=100)
    job.sinks = [Follower()]

    def away(*_: object) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(store, "commit", away)
    with pytest.raises(ConnectionError, match="away"):
        job(episode("a", 10), 0)
    assert made == [("ready", 100 * SECOND)]
