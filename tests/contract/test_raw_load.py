"""A day in `raw.events`: as a whole or not at all, once at a time, and as often as one likes."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from click.testing import CliRunner
from stacks import settings_for

from features.contracts.commerce import COMMERCE
from features.decoding import Decoder
from infra.behavior_log import Collected, check, collect
from infra.cli import main
from infra.dead_letters.archive import append
from infra.endpoints import Endpoints
from infra.errors import GateFailed, LoadFailed
from infra.raw.table import LOCK, locked
from infra.raw_load import load_archived, load_raw
from infra.settings import Settings

pytestmark = pytest.mark.stack
DAY, BEFORE = date(2026, 3, 5), date(2026, 3, 4)
SEVEN = {
    *("required_fields", "duplicate_event_id", "value_ranges", "funnel_order"),
    *("timestamps", "order_amount", "platform_device"),
}
Landing = Callable[..., Path]


@pytest.fixture
def place(stack: Endpoints, new_home: Callable[[str], Path]) -> Iterator[Settings]:
    """A home of its own on the common PostgreSQL, with no raw events before and afterwards."""
    home = new_home("raw")
    Endpoints(
        **{
            **{n: getattr(stack, n) for n in ("kafka", "postgres", "redis")},
            "lake": str(home / "lake"),
        }
    ).write(home)
    forget(stack)
    yield settings_for(home)
    forget(stack)


def forget(stack: Endpoints) -> None:
    with psycopg.connect(stack.postgres) as connection:
        connection.execute("DELETE FROM raw.events")
        connection.execute("DELETE FROM ops.quality_log")


def events(count: int, *, day: date = DAY, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e-{number}",
            "event_type": "search",
            "search_query": "sofa",
            "session_id": f"s-{number % 7}",
            "timestamp": f"{day}T08:{number // 60 % 60:02}:{number % 60:02}.000Z",
        }
        for number in range(first, first + count)
    ]


def land(
    settings: Settings, documents: list[Any], *, day: date = DAY, name: str = "user-events.jsonl"
) -> Path:
    path = settings.home / "landing" / day.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(document) + "\n" for document in documents).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def table(stack: Endpoints, *columns: str) -> list[tuple[Any, ...]]:
    listed = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns))
    query = psycopg.sql.SQL("SELECT {} FROM raw.events ORDER BY run_date, topic, event_id")
    with psycopg.connect(stack.postgres) as connection:
        return connection.execute(query.format(listed)).fetchall()


def stored(stack: Endpoints) -> list[tuple[Any, ...]]:
    """All that does not tell when it was loaded."""
    names = ("topic", "event_id", "event_type", "user_id", "session_id", "event_at", "event")
    return table(stack, "run_date", *names)


def logged(stack: Endpoints) -> dict[str, tuple[Any, ...]]:
    """Of the newest run: check -> checked, failed, rate, passed, examples."""
    with psycopg.connect(stack.postgres) as connection:
        rows = connection.execute(
            "SELECT check_name, checked, failed, rate, passed, examples FROM ops.quality_log "
            "WHERE run_date = %s AND run_at = (SELECT max(run_at) FROM ops.quality_log)",
            [DAY],
        ).fetchall()
    return {name: tuple(rest) for name, *rest in rows}


def test_a_day_is_loaded_as_its_contract_has_it(stack: Endpoints, place: Settings) -> None:
    land(
        place,
        [{"eventType": "view", "userId": 7, "productId": "p", "timestamp": 1772701200000, "x": 1}],
    )
    land(
        place,
        [{"location_id": "l", "status": "rainy", "temperature": 3, "timestamp": "2026-03-05"}],
        name="weather.jsonl.gz",
    )
    done = load_raw(place, DAY)
    assert (done.events, done.failed, done.loaded) == (2, 0, 2)
    assert done.topics == {"user-events": 1, "weather": 1}
    shopping, weather = table(stack, "event_type", "user_id", "session_id", "event", "run_id")
    assert shopping[:3] == ("product_view", "7", None)
    assert (
        shopping[3].items()
        >= {
            "event_type": "product_view",
            "timestamp": "2026-03-05T09:00:00.000000Z",
            "quantity": 1,
            "extra": {"x": "1"},
        }.items()
    )
    assert weather[:3] == (None, None, None)
    assert weather[3]["temperature"] == 3
    assert {shopping[4], weather[4]} == {done.run_id}


def test_a_day_that_is_loaded_again_is_replaced_and_others_stay(
    stack: Endpoints, place: Settings
) -> None:
    land(place, events(5, day=BEFORE), day=BEFORE)
    land(place, events(120))
    load_raw(place, BEFORE)
    first = load_raw(place, DAY)
    once = stored(stack)
    second = load_raw(place, DAY)
    assert first.run_id != second.run_id
    assert stored(stack) == once
    assert len(once) == 125
    land(place, events(3))
    load_raw(place, DAY)
    assert [row[2] for row in stored(stack)] == [*(f"e-{n}" for n in range(5)), "e-0", "e-1", "e-2"]


def test_what_fails_is_left_out_and_listed(stack: Endpoints, place: Settings) -> None:
    land(place, [*events(198), {**events(1)[0], "search_query": None}, events(1)[0]])
    done = load_raw(place, DAY)
    assert (done.events, done.failed, done.loaded) == (200, 2, 198)
    listed = [json.loads(line) for line in done.left_out_file.read_text().splitlines()]
    assert [(one["line"], one["event_id"], one["check"], one["reason"]) for one in listed] == [
        (199, None, "required_fields", "missing_field: search_query"),
        (200, "e-0", "duplicate_event_id", "this id was read before"),
    ]
    assert stat.S_IMODE(done.left_out_file.stat().st_mode) == 0o600
    log = logged(stack)
    assert set(log) == {*SEVEN, "all"}
    assert log["all"][:4] == (200, 2, 0.99, True)
    assert log["duplicate_event_id"][:2] == (199, 1)
    assert log["duplicate_event_id"][4][0]["event_id"] == "e-0"
    assert log["timestamps"] == (199, 0, 1.0, True, [])


def test_a_day_with_too_many_failures_loads_nothing_and_says_so(
    stack: Endpoints, place: Settings
) -> None:
    land(place, events(10))
    load_raw(place, DAY)
    before = table(stack, "event_id", "run_id")
    land(place, [*events(197), *[{"event_type": "search"}] * 3])
    with pytest.raises(
        GateFailed, match=r"98.50% pass where 99.00% must.* required_fields"
    ) as raised:
        load_raw(place, DAY)
    assert raised.value.figures["loaded"] == 0
    assert table(stack, "event_id", "run_id") == before
    log = logged(stack)
    assert log["all"][:4] == (200, 3, 0.985, False)
    assert log["required_fields"][3] is False
    assert log["timestamps"][3] is True


def test_a_day_can_be_checked_before_it_is_loaded(stack: Endpoints, place: Settings) -> None:
    with pytest.raises(LoadFailed, match=r"No .*jsonl"):
        collect(place, DAY)
    path = land(place, [*events(9), {"event_type": "search"}])
    assert collect(place, DAY) == Collected(files=[path], bytes=path.stat().st_size)
    found = check(place, DAY).to_json()
    assert found["is_passed"] is False
    assert "90.00% pass where 99.00% must" in str(found["problem"])
    assert logged(stack)["all"][:4] == (10, 1, 0.9, False)
    land(place, events(10))
    assert check(place, DAY).problem is None
    assert table(stack, "event_id") == []


def test_the_share_that_must_pass_can_be_set(place: Settings) -> None:
    land(place, [*events(9), {"event_type": "search"}])
    assert load_raw(place.model_copy(update={"pass_rate": 0.9}), DAY).loaded == 9


def test_a_file_of_another_schema_is_blocked_whatever_it_is_called(
    stack: Endpoints, place: Settings
) -> None:
    land(place, [{"id": n, "name": "?"} for n in range(50)], name="export.jsonl")
    with pytest.raises(GateFailed, match="50 of 50 events fail"):
        load_raw(place, DAY)
    assert table(stack, "event_id") == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"half.jsonl.gz": gzip.compress(b'{"a": 1}\n' * 9999)[:-20]}, "only half written"),
        ({"user-events.jsonl": b"", "2.jsonl.gz": gzip.compress(b"\n")}, "hold no event"),
    ],
    ids=["half a gzip", "an empty day"],
)
def test_what_cannot_be_used_changes_nothing(
    stack: Endpoints, place: Settings, files: dict[str, bytes], says: str
) -> None:
    land(place, events(10))
    load_raw(place, DAY)
    before, log = table(stack, "event_id", "run_id"), logged(stack)
    path = land(place, events(20))
    for name, content in files.items():
        (path.parent / name).write_bytes(content)
    with pytest.raises(LoadFailed, match=says):
        load_raw(place, DAY)
    assert table(stack, "event_id", "run_id") == before
    assert logged(stack) == log


def interrupt(step: str, *_: int) -> None:
    if step == "writing":
        raise KeyboardInterrupt


def test_a_first_load_that_is_interrupted_leaves_nothing(stack: Endpoints, place: Settings) -> None:
    day = date(2031, 7, 8)
    land(place, events(500, day=day), day=day)
    with pytest.raises(KeyboardInterrupt):
        load_raw(place, day, progress=interrupt)
    with psycopg.connect(stack.postgres) as owner:
        assert owner.execute("SELECT to_regclass('raw.events_20310708')").fetchone() == (None,)
        assert load_raw(place, day).loaded == 500
        assert load_raw(place, day).loaded == 500, "again, as the pipeline"
        owner.execute("DROP TABLE raw.events_20310708")


def test_a_load_that_is_interrupted_leaves_the_day_as_it_was(
    stack: Endpoints, place: Settings
) -> None:
    land(place, events(10))
    load_raw(place, DAY)
    before = table(stack, "event_id", "run_id")
    land(place, events(500))
    with pytest.raises(KeyboardInterrupt):
        load_raw(place, DAY, progress=interrupt)
    assert table(stack, "event_id", "run_id") == before
    assert load_raw(place, DAY).loaded == 500


def test_a_server_that_breaks_off_leaves_the_day_as_it_was(
    stack: Endpoints, place: Settings
) -> None:
    land(place, events(10))
    load_raw(place, DAY)
    before = table(stack, "event_id", "run_id")
    land(place, events(500))

    def cut(step: str, *_: int) -> None:
        if step == "writing":
            with psycopg.connect(stack.postgres) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND classid = %s",
                    [LOCK],
                )

    with pytest.raises(LoadFailed, match="PostgreSQL did not take 2026-03-05"):
        load_raw(place, DAY, progress=cut)
    assert table(stack, "event_id", "run_id") == before


def test_a_day_is_loaded_by_one_at_a_time(stack: Endpoints, place: Settings) -> None:
    land(place, events(3))
    land(place, events(3, day=BEFORE), day=BEFORE)
    with psycopg.connect(stack.postgres, autocommit=True) as other, locked(other, DAY):
        with pytest.raises(LoadFailed, match="is being loaded by another process"):
            load_raw(place, DAY)
        assert load_raw(place, BEFORE).loaded == 3
    assert load_raw(place, DAY).loaded == 3


@pytest.mark.timeout(30)
def test_a_new_day_waits_for_no_reader(stack: Endpoints, place: Settings) -> None:
    day = date(2031, 7, 9)
    land(place, events(3, day=day), day=day)
    with psycopg.connect(stack.postgres) as reader:
        reader.execute("SELECT count(*) FROM raw.events")
        assert load_raw(place, day).loaded == 3
        reader.rollback()
        reader.execute("DROP TABLE raw.events_20310709")


PURCHASE = {
    "event_id": "p",
    "event_type": "purchase",
    "order_id": "o",
    "user_id": "u",
    "session_id": "s",
    "timestamp": "2026-03-05T00:01:00Z",
}
CART = {
    **PURCHASE,
    "event_id": "c",
    "event_type": "add_to_cart",
    "product_id": "p",
    "timestamp": "2026-03-04T23:59:00Z",
}


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_cart_of_the_day_before_counts_loaded_or_only_landed(
    place: Settings, is_loaded: bool
) -> None:
    land(place, [PURCHASE])
    with pytest.raises(GateFailed, match="funnel_order"):
        load_raw(place, DAY)
    path = land(place, [CART], day=BEFORE)
    if is_loaded:
        load_raw(place, BEFORE)
        path.unlink()
    assert load_raw(place, DAY).loaded == 1


def test_the_archive_gives_the_same_rows_as_the_file(stack: Endpoints, place: Settings) -> None:
    documents = [{**CART, "timestamp": PURCHASE["timestamp"], "y": "z"}, PURCHASE, *events(50)]
    land(place, documents)
    load_raw(place, DAY)
    by_file = stored(stack)
    archive(place.home / "lake", [*documents, *events(3, day=BEFORE, first=100)])
    done = load_archived(place, DAY)
    assert done.loaded == 52
    assert stored(stack) == by_file
    with pytest.raises(LoadFailed, match="has no archived event of 2026-03-03"):
        load_archived(place, date(2026, 3, 3))


def archive(lake: Path, documents: list[dict[str, Any]]) -> None:
    values = [json.dumps(document).encode() for document in documents]
    received = 1772700000000000
    decoded = Decoder(COMMERCE).decode(values, pl.Series([received] * len(values)))
    assert decoded.rejects.is_empty()
    frame = decoded.events.drop("row").with_columns(
        kafka_partition=pl.lit(0, pl.Int32),
        kafka_offset=pl.int_range(pl.len()),
        received_at=pl.lit(received).cast(pl.Datetime("us", "UTC")),
        contract_version=pl.lit(1, pl.Int32),
    )
    append(str(lake), {COMMERCE.topic: frame}, 1, received)


def test_the_command_tells_figures_and_fails_by_its_exit_code(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(place.home))
    path = land(place, events(10), name="a.jsonl")
    other = land(place, events(10, first=10), name="b.jsonl")
    command = ["load-raw", "--date", DAY.isoformat()]
    done = CliRunner().invoke(main, [*command, "--from", str(path), str(other), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["loaded"] == 20
    path.write_text("{}\n" * 10)
    blocked = CliRunner().invoke(main, command)
    assert blocked.exit_code == 1
    assert "required_fields" in blocked.stdout
    assert "50.00% pass where 99.00% must" in blocked.stderr
    missing = CliRunner().invoke(main, [*command, "--from", str(path) + "x"])
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert CliRunner().invoke(main, [*command, str(path)]).exit_code == 2
    assert CliRunner().invoke(main, [*command, "--archive", "--from", str(path)]).exit_code == 2
