"""A row of Redis as JSON and as Python, the same as PostgreSQL would give."""

from __future__ import annotations

import json

import pytest

from features.columns import Column, ColumnType
from serving.online.plan import Found, Plan, plan_for
from serving.online.served import ServedView

AT = b"2026-01-01T00:00:00.000000Z"
AT_MS = 1_767_225_600_000
TYPES = (
    ("text", ColumnType.STRING),
    ("ratio", ColumnType.DOUBLE),
    ("count", ColumnType.LONG),
    ("flag", ColumnType.BOOLEAN),
    ("at", ColumnType.TIMESTAMP),
    ("items", ColumnType.STRING_LIST),
)
VIEW = ServedView(
    name="v",
    doc="",
    entity=(Column("id", ColumnType.STRING, ""),),
    features=tuple(Column(name, of, "") for name, of in TYPES),
    has_event_at=True,
    redis_key="v:{id}",
    stale_after_s=60,
)
PLAN = Plan(VIEW, VIEW.features)


def row(*texts: bytes | None) -> list[bytes | None]:
    return [AT, AT, *texts]


def document(found: Found | None, now_ms: int = AT_MS + 5, **marks: bool) -> dict[str, object]:
    assert found is not None
    is_degraded = marks.get("is_degraded", False)
    answered: dict[str, object] = json.loads(
        PLAN.json_of("a", found, now_ms, is_degraded=is_degraded)
    )
    return answered


FULL = row('né "q" \\ \n'.encode(), b"0.1", b"42", b"true", AT, b'["a","b"]')
VALUES = {
    "text": 'né "q" \\ \n',
    "ratio": 0.1,
    "count": 42,
    "flag": True,
    "at": AT.decode(),
    "items": ["a", "b"],
}


def test_every_type_is_read_back() -> None:
    assert document(PLAN.from_hash([*FULL])) == {
        "id": "a",
        "features": VALUES,
        "event_at": AT.decode(),
        "updated_at": AT.decode(),
        "age_ms": 5,
    }


def test_what_is_absent_is_null() -> None:
    answered = document(PLAN.from_hash(row(None, None, None, None, None, None)))
    assert answered["features"] == dict.fromkeys(VALUES)


@pytest.mark.parametrize("text", [b"NaN", b"inf", b"-inf"])
def test_what_json_has_no_number_for_is_null(text: bytes) -> None:
    answered = document(PLAN.from_hash(row(None, text, None, None, None, None)))
    assert answered["features"] == dict.fromkeys(VALUES)


def test_an_empty_text_is_a_text() -> None:
    answered = document(PLAN.from_hash(row(b"", None, None, None, None, None)))
    assert answered["features"] == {**dict.fromkeys(VALUES), "text": ""}


def test_a_row_that_is_not_there_is_none() -> None:
    assert PLAN.from_hash([None] * 8) is None


def test_a_hash_that_is_not_ours_is_none() -> None:
    assert PLAN.from_hash([None, b"yesterday", *[None] * 6]) is None


@pytest.mark.parametrize(("age_ms", "is_stale"), [(60_000, False), (60_001, True)])
def test_a_row_is_stale_when_older_than_the_limit_of_its_view(age_ms: int, is_stale: bool) -> None:
    found = PLAN.from_hash([*FULL])
    assert found is not None
    assert document(found, AT_MS + age_ms).get("stale", False) is is_stale
    assert PLAN.row_of("a", found, AT_MS + age_ms, is_degraded=False).is_stale is is_stale


def test_nothing_is_younger_than_now() -> None:
    assert document(PLAN.from_hash([*FULL]), AT_MS - 1000)["age_ms"] == 0


def test_a_degraded_source_is_told() -> None:
    assert document(PLAN.from_hash([*FULL]), is_degraded=True)["degraded"] is True


def test_a_row_in_python_has_the_values_of_the_json() -> None:
    found = PLAN.from_hash([*FULL])
    assert found is not None
    assert PLAN.row_of("a", found, AT_MS, is_degraded=False).features == VALUES


def test_only_the_fields_that_are_asked_for_are_read() -> None:
    plan = plan_for("user_features", ("country",))
    assert plan.hmget("webtoon_user:é") == (
        b"*5\r\n$5\r\nHMGET\r\n$15\r\nwebtoon_user:\xc3\xa9\r\n"
        b"$8\r\nevent_at\r\n$10\r\nupdated_at\r\n$7\r\ncountry\r\n"
    )
