"""Dead letters without services: places, times, what is judged, cut, said and shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
import polars as pl
import pytest
from dead_letters import TOPIC, event
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.dlq import Since
from infra.cli.dlq_text import letter_to_json, print_letter, text_of
from infra.dead_letters.changes import Changed, entities
from infra.dead_letters.judging import judge, key_of
from infra.dead_letters.letters import Letter, Place
from infra.dead_letters.plan import BYTES_AT_ONCE, LETTERS_AT_ONCE, chunks
from infra.dead_letters.report import Fate, Replayed

AT_US = 1_790_000_000_000_000
AT = datetime.fromtimestamp(AT_US / 1e6, UTC)


def letter(payload: bytes | None, topic: str = TOPIC, offset: int = 5, **change: Any) -> Letter:
    fields: dict[str, Any] = {
        "key": None,
        "received_at_us": AT_US,
        "reason_code": "wrong_type",
        "reason": "For a test.",
        "contract_version": 1,
        "status": "open",
        "created_at": AT,
        "updated_at": AT,
        **change,
    }
    return Letter(topic=topic, partition=3, offset=offset, payload=payload, **fields)


@pytest.mark.parametrize(
    "place", [Place("user-events", 0, 0), Place("a.b_c", 2**31 - 1, 2**63 - 1)]
)
def test_a_place_is_read_as_it_is_written(place: Place) -> None:
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "t", "t/1", "/1/2", "t/x/2", "t/1/2/3", "t/-1/2", f"t/{2**31}/0", f"t/0/{2**63}"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        Place.parse(text)


@pytest.mark.parametrize(
    ("text", "age"),
    [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("1d", timedelta(days=1))],
)
def test_since_may_be_an_age(text: str, age: timedelta) -> None:
    found = Since().convert(text, None, None)
    assert abs(datetime.now(UTC) - age - found) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text", ["2026-01-02", "2026-01-02T00:00:00Z", "2026-01-02T09:00:00+09:00"]
)
def test_since_may_be_a_time_and_without_an_offset_is_utc(text: str) -> None:
    assert Since().convert(text, None, None) == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2", "h", "-1h", "999999w", "2026-13-01"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Since().convert(text, None, None)


def test_letters_are_judged_in_their_order_by_todays_contract() -> None:
    (judged,) = judge(
        [letter(event(AT_US)), letter(None, offset=6), letter(event(AT_US), offset=7)]
    )
    assert [one.offset for one in judged.valid] == [5, 7]
    assert judged.events["kafka_offset"].to_list() == [5, 7]
    ((refused, now),) = judged.invalid
    assert (refused.offset, now.reason_code) == (6, "not_json")


def test_an_event_without_an_id_gets_the_same_one_each_time() -> None:
    """What the stream has accepted before is a copy then, whoever sends it."""
    payload = event(AT_US, event_id=None)
    (first,) = judge([letter(payload)])
    (again,) = judge([letter(payload, offset=9, received_at_us=AT_US + 1000, key=b"other")])
    assert first.events["event_id"].to_list() == again.events["event_id"].to_list()


def test_a_topic_without_a_contract_is_no_error() -> None:
    (judged,) = judge([letter(event(AT_US), topic="gone")])
    assert [now.reason_code for _, now in judged.invalid] == ["unknown_topic"]


def test_the_key_is_the_letters_else_the_contracts() -> None:
    kept, lost = letter(b"{}", "user-events", key=b"kept"), letter(b"{}", "user-events")
    assert key_of(kept, {"session_id": "s"}) == b"kept"
    assert key_of(lost, {"session_id": None, "user_id": "u"}) == b"u"
    assert key_of(lost, {"session_id": None, "user_id": None}) is None


def test_the_time_of_receipt_is_at_the_latest_that_of_the_rejection() -> None:
    assert letter(b"", received_at_us=1_500_999).received_ms == 1500
    assert letter(b"", received_at_us=None).received_ms == AT_US // 1000


@given(st.lists(st.integers(0, BYTES_AT_ONCE), max_size=2 * LETTERS_AT_ONCE))
def test_chunks_are_bounded_and_lose_nothing(sizes: list[int]) -> None:
    places = [(Place("t", 0, number), size) for number, size in enumerate(sizes)]
    cut = list(chunks(places))
    assert [place for chunk in cut for place in chunk] == [place for place, _ in places]
    for chunk in cut:
        assert 0 < len(chunk) <= LETTERS_AT_ONCE
        assert sum(sizes[place.offset] for place in chunk) <= BYTES_AT_ONCE


def test_the_entities_of_an_event_are_those_of_every_view() -> None:
    (webtoon,) = judge([letter(event(AT_US, experiment_group="B"))])
    assert {view.name: values for view, values in entities(TOPIC, webtoon.events)} == {
        "session_features": ["s"],
        "user_features": ["u"],
        "episode_features": ["ep_0001"],
        "segment_features": ["KR"],
        "experiment_features": ["B"],
    }
    purchase = (
        b'{"user_id": "u", "session_id": "s", "event_type": "purchase", "order_id": "o",'
        b'"timestamp": 1790000000000, "items": ['
        b'{"product_id": "p", "quantity": 1, "unit_price": 2},'
        b'{"product_id": "q", "quantity": 1, "unit_price": 2}]}'
    )
    (shop,) = judge([letter(purchase, "user-events")])
    found = {view.name: sorted(values) for view, values in entities("user-events", shop.events)}
    assert found == {
        "commerce_session_features": ["s"],
        "derived_session_features": ["u"],
        "commerce_user_features": ["u"],
        "product_features": ["p", "q"],
    }
    assert list(entities("weather", pl.DataFrame())) == []


def test_a_report_says_what_is_still_to_be_done() -> None:
    report = Replayed(
        fates=[
            Fate(Place(TOPIC, 0, 1), "sent", Place(TOPIC, 0, 9)),
            Fate(Place(TOPIC, 0, 2), "archived"),
            Fate(Place(TOPIC, 0, 3), "invalid", reason_code="not_json"),
        ],
        backfill=(date(2026, 9, 1), date(2026, 9, 3)),
        features={"session_features": Changed(rows=2, features=7)},
        came_back={"late": 1},
    )
    text = "\n".join(report.lines())
    assert "7 features changed in 2 rows" in text
    assert "userflow backfill --from 2026-09-01 --to 2026-09-03" in text
    assert f"{TOPIC}/0/3  not_json" in text
    assert "1 of the events sent were rejected again: late" in text
    shown = report.to_json()
    assert (shown["sent"], shown["archived"], shown["invalid"]) == (1, 1, 1)
    assert shown["features_changed"]["features"] == 7


def test_a_report_says_plainly_that_no_stream_runs() -> None:
    sent = [Fate(Place(TOPIC, 0, 1), "sent", Place(TOPIC, 0, 9))]
    report = Replayed(fates=sent, waited_s=60, idle_jobs=["webtoon"])
    assert "no stream runs" in "\n".join(report.lines())
    assert report.to_json()["features_changed"] is None


def test_an_empty_report_says_so() -> None:
    assert list(Replayed().lines()) == ["no open letter to replay"]


def test_bytes_that_are_no_text_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert text_of(b"a\xff") == "a\\xff"
    assert text_of(None) is None
    steering = letter(b"\xff\x1b[2J\r\xe2\x80\xaeweb", key=b"\x07")
    print_letter(letter_to_json(steering, {steering.place: []}, None))
    shown = capsys.readouterr().out
    assert "\\xff\\x1b[2J\\r\\u202eweb" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
