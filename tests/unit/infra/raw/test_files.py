"""Files of a day: whose topic they hold, what their lines become, what cannot be read."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from oracle.junk import FLAT_COMMERCE, WEBTOON_EVENT
from polars.testing import assert_frame_equal

from infra.errors import LoadFailed
from infra.raw import decoding, landing
from infra.raw.files import Files
from infra.raw.landing import topic_of

DAY = date(2019, 10, 1)
TICKET = {"ticket_id": "t", "user_id": "u", "status": "open", "timestamp": "2019-10-01"}


def silent(*_: object) -> None:
    """Nobody looks."""


def written(path: Path, *documents: dict[str, Any]) -> Path:
    text = "".join(json.dumps(document) + "\n" for document in documents).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("user-events.jsonl", "user-events"),
        ("user_events-2026-01-01.jsonl.gz", "user-events"),
        ("webtoon_user_events.jsonl", "webtoon_user_events"),
        ("webtoon-user-events_03.jsonl", "webtoon_user_events"),
        ("weather.jsonl", "weather"),
    ],
)
def test_a_name_tells_the_topic(name: str, topic: str) -> None:
    assert topic_of(Path("nowhere") / name) == topic


@pytest.mark.parametrize(
    ("document", "topic"),
    [
        (WEBTOON_EVENT, "webtoon_user_events"),
        (FLAT_COMMERCE, "user-events"),
        (TICKET, "support-tickets"),
        ({"of": "another schema"}, "user-events"),
    ],
)
def test_of_another_name_the_first_lines_tell_it(
    tmp_path: Path, document: dict[str, Any], topic: str
) -> None:
    assert topic_of(written(tmp_path / "day.jsonl", document)) == topic
    assert topic_of(written(tmp_path / "day.jsonl.gz", document)) == topic


def test_lines_keep_their_numbers_and_blank_ones_are_no_events(tmp_path: Path) -> None:
    good = json.dumps(FLAT_COMMERCE).encode()
    path = tmp_path / "user-events.jsonl"
    path.write_bytes(b"\n" + good + b"\r\n\r\n{}\n" + good)
    events, rejects = Files(tmp_path, (path,)).read(DAY, silent)["user-events"]
    assert events["line"].to_list() == [2, 5]
    assert rejects.select("file", "line", "reason_code").rows() == [
        ("user-events.jsonl", 4, "missing_field")
    ]


def test_recorded_events_may_be_of_any_time(tmp_path: Path) -> None:
    times = ["1999-01-01", "2019-10-01", "2030-01-01"]
    path = written(
        tmp_path / "user-events.jsonl", *({**FLAT_COMMERCE, "timestamp": t} for t in times)
    )
    events, rejects = Files(tmp_path, (path,)).read(DAY, silent)["user-events"]
    assert events["event_at"].dt.year().to_list() == [1999, 2019, 2030]
    assert rejects.is_empty()


def test_what_has_no_time_happened_as_its_day_began(tmp_path: Path) -> None:
    path = written(tmp_path / "user-profiles.jsonl", {"user_id": "u"})
    events, _ = Files(tmp_path, (path,)).read(DAY, silent)["user-profiles"]
    assert events["event_at"].to_list() == [datetime(2019, 10, 1, tzinfo=UTC)]


def test_a_day_is_all_its_files_by_topic(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "2019-10-01"
    folder.mkdir(parents=True)
    written(folder / "user-events-2.jsonl.gz", FLAT_COMMERCE)
    written(folder / "user-events-1.jsonl", FLAT_COMMERCE, FLAT_COMMERCE)
    written(folder / "weather.jsonl")
    (folder / "notes.txt").write_text("no events")
    read = Files(tmp_path).read(DAY, silent)
    assert set(read) == {"user-events"}
    events, _ = read["user-events"]
    assert events.select("file", "line").rows() == [
        ("user-events-1.jsonl", 1),
        ("user-events-1.jsonl", 2),
        ("user-events-2.jsonl.gz", 1),
    ]


def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [{**FLAT_COMMERCE, "event_id": f"e-{number}"} for number in range(3000)]
    path = written(tmp_path / "user-events.jsonl", *good, {"no": "event"})
    alone = Files(tmp_path, (path,)).read(DAY, silent)["user-events"]
    monkeypatch.setattr(decoding, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(landing, "CHUNK_BYTES", 50_000)
    together = Files(tmp_path, (path,)).read(DAY, silent)["user-events"]
    assert_frame_equal(together[0], alone[0])
    assert_frame_equal(together[1], alone[1])
    assert alone[0].height == 3000


def test_carts_are_found_in_any_shape(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "2019-10-01"
    folder.mkdir(parents=True)
    cart = {"event_type": "cart", "event_time": "2019-10-01", "user_id": 7, "user_session": "s"}
    camel = {"eventType": "add_to_cart", "timestamp": 1, "userId": "u", "productId": "p"}
    written(folder / "events.jsonl", cart, camel, FLAT_COMMERCE)
    written(folder / "weather.jsonl", {"note": "a cart in the rain"})
    assert set(Files(tmp_path).carts(DAY).rows()) == {("7", "s"), ("u", None)}
    assert Files(tmp_path).carts(date(2019, 9, 30)).is_empty()


def test_progress_ends_at_all_bytes(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / "user-events.jsonl", FLAT_COMMERCE),
        written(tmp_path / "user-events.jsonl.gz", FLAT_COMMERCE),
    ]
    seen: list[tuple[str, int, int]] = []
    Files(tmp_path, tuple(paths)).read(DAY, lambda *one: seen.append(one))
    total = sum(path.stat().st_size for path in paths)
    assert seen[-1] == ("reading", total, total)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "There is no file"),
        (lambda path: path.mkdir(), "There is no file"),
        (lambda path: path.write_bytes(b"not gzip at all"), "cannot be read"),
        (lambda path: path.write_bytes(gzip.compress(b"{}\n" * 9999)[:-20]), "only half written"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Any, says: str) -> None:
    path = tmp_path / "user-events.jsonl.gz"
    make(path)
    with pytest.raises(LoadFailed, match=says) as raised:
        Files(tmp_path, (path,)).read(DAY, silent)
    assert str(path) in str(raised.value)


def test_a_day_without_files_says_where_they_go(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="landing/2019-10-01: put"):
        Files(tmp_path).read(DAY, silent)
