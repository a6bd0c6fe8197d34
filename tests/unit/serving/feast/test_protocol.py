"""Feast's protocol, without stores: what is asked for, and how rows become an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import httpx
import pytest

from serving.api.app import create_app
from serving.api.keys import Key
from serving.api.services import Services
from serving.errors import BadRequest, NotFound, Unavailable, Unprocessable
from serving.feast.answer import Read, answer
from serving.feast.request import NotInFeast, asked_views, entity_count, ids_of
from serving.online.plan import Found, Plan, plan_for
from serving.online.ports import Entities
from serving.online.reader import Answer, OnlineReader
from serving.online.served import SERVED
from serving.settings import ServingSettings

AT, LATER = b"2026-01-02T03:04:05.000000Z", b"2026-01-02T03:04:06.000000Z"
NOW_MS = 1_767_323_047_000
READER = {"read_count_1h": b"3", "last_seen_at": b'"2026-01-02T03:04:05.678000Z"'}


class Ring:
    """Anybody may read."""

    def known(self, _: str) -> Key:
        return Key("1", "test", frozenset({"read"}))


class Store:
    """Knows one reader."""

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        pieces = [READER.get(name, b"null") for name in plan.names]
        return {one: Found(AT, LATER, pieces, "redis") for one in entities if one == "u1"}


class Empty:
    """Has nothing, or cannot be asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def read(self, *_: object) -> dict[str, Found]:
        if self.failure:
            raise self.failure
        return {}


def post(document: Any, *, key: bool = True, failure: Exception | None = None) -> httpx.Response:
    services = Services(
        settings=ServingSettings(max_ids=3),
        online=OnlineReader(Store(), Empty(failure)),
        keys=cast("Any", Ring()),
        postgres=cast("Any", None),
    )
    transport = httpx.ASGITransport(create_app(services))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            headers = {"Authorization": "Bearer k"} if key else {}
            body = document if isinstance(document, str) else json.dumps(document)
            return await client.post("/get-online-features", content=body, headers=headers)

    return asyncio.run(ask())


def answered(names: Sequence[str], *, event_at: bytes | None = AT, now_ms: int = NOW_MS) -> Any:
    """The columns of the one reader, without the join key."""
    plan = plan_for("user_features", tuple(names))
    pieces = [READER.get(name, b"null") for name in names]
    found = {"u1": Found(event_at, LATER, pieces, "redis")}
    read = Read(["u1"], Answer(plan, found, (), is_degraded=False, now_ms=now_ms))
    return json.loads(answer({}, [read]))["results"]


ASKED = ["user_features:read_count_1h", "user_features:top_genre_1h"]


def test_an_answer_is_what_feasts_own_server_says() -> None:
    none, at = "1970-01-01T00:00:00Z", "2026-01-02T03:04:05Z"
    # The row is old.
    present = "OUTSIDE_MAX_AGE"
    found = post({"features": ASKED, "entities": {"user_id": ["u1", "u2", "u1"]}})
    assert found.status_code == 200
    assert found.headers["x-userflow-source"] == "redis"
    assert found.json() == {
        "metadata": {"feature_names": ["user_id", "read_count_1h", "top_genre_1h"]},
        "results": [
            {
                "values": ["u1", "u2", "u1"],
                "statuses": ["PRESENT"] * 3,
                "event_timestamps": [none] * 3,
            },
            {
                "values": [3, None, 3],
                "statuses": [present, "NOT_FOUND", present],
                "event_timestamps": [at, none, at],
            },
            {
                "values": [None, None, None],
                "statuses": ["NULL_VALUE", "NOT_FOUND", "NULL_VALUE"],
                "event_timestamps": [at, none, at],
            },
        ],
    }


def test_full_names_begin_with_the_view() -> None:
    asked = {"features": ASKED, "entities": {"user_id": ["u1"]}, "full_feature_names": True}
    assert post(asked).json()["metadata"]["feature_names"] == [
        "user_id",
        "user_features__read_count_1h",
        "user_features__top_genre_1h",
    ]


def test_a_service_is_all_features_of_a_view() -> None:
    asked = {"feature_service": "user_features", "entities": {"user_id": ["u1"], "other": [1]}}
    names = post({**asked, "include_feature_view_version_metadata": True}).json()["metadata"]
    features = [column.name for column in SERVED["user_features"].features]
    assert names["feature_names"] == ["user_id", *features]
    assert names["feature_view_metadata"] == [{"name": "user_features", "version": 1}]


def test_times_are_seconds_and_old_values_say_so() -> None:
    (fresh,) = answered(["last_seen_at"])
    assert fresh == {
        "values": [1_767_323_045],
        "statuses": ["PRESENT"],
        "event_timestamps": ["2026-01-02T03:04:05Z"],
    }
    (old,) = answered(["last_seen_at"], event_at=None, now_ms=NOW_MS + 7_200_000)
    assert old == {
        "values": [1_767_323_045],
        "statuses": ["OUTSIDE_MAX_AGE"],
        "event_timestamps": ["2026-01-02T03:04:06Z"],
    }


def test_what_is_nested_is_json_text() -> None:
    plan = plan_for("related_products", ("products",))
    found = {"p1": Found(None, LATER, [b'[{"product_id":"p2"}]'], "redis")}
    read = Read(["p1", None], Answer(plan, found, (), is_degraded=False, now_ms=NOW_MS))
    (vector,) = json.loads(answer({}, [read]))["results"]
    assert vector["values"] == ['[{"product_id":"p2"}]', None]
    assert vector["statuses"] == ["PRESENT", "NOT_FOUND"]


@pytest.mark.parametrize(
    ("iso", "told"),
    [
        ("2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.120000Z", "2026-01-02T03:04:05.120Z"),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
    ],
)
def test_times_are_spelled_as_protobuf_spells_them(iso: str, told: str) -> None:
    (vector,) = answered(["read_count_1h"], event_at=iso.encode())
    assert vector["event_timestamps"] == [told]


def test_no_entities_are_no_values() -> None:
    found = post({"features": ASKED, "entities": {"user_id": []}}).json()["results"]
    assert found == [{"values": [], "statuses": [], "event_timestamps": []}] * 3


def test_an_entity_that_no_store_could_be_asked_for_is_invalid() -> None:
    asked = {"features": ASKED[:1], "entities": {"user_id": ["u1", "u2"]}}
    (_, column) = post(asked, failure=Unavailable("away")).json()["results"]
    assert column["statuses"] == ["OUTSIDE_MAX_AGE", "INVALID"]
    nobody = {**asked, "entities": {"user_id": ["u2"]}}
    assert post(nobody, failure=Unavailable("away")).status_code == 503


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({"features": ["user_featurs:x"]}, "FeatureViewNotFoundException", "user_features"),
        ({"features": ["user_features:read_count"]}, "FeatureViewNotFoundException", "read_count_"),
        ({"feature_service": "user_feature"}, "FeatureServiceNotFoundException", "user_features"),
    ],
)
def test_an_unknown_name_is_the_error_that_feasts_client_knows(
    asked: dict[str, Any], kind: str, told: str
) -> None:
    found = post({**asked, "entities": {"user_id": ["u1"]}})
    assert found.status_code == 404
    error = json.loads(found.json())
    assert (error["module"], error["class"]) == ("feast.errors", kind)
    assert told in error["message"]


@pytest.mark.parametrize(
    ("document", "status", "field"),
    [
        ("{", 400, "body"),
        ("[1]", 422, "body"),
        ({"features": ASKED}, 422, "entities"),
        ({"features": ASKED, "entities": {}}, 422, "entities"),
        ({"features": ASKED, "entities": {"user_id": ["u1"], "x": []}}, 422, "entities"),
        ({"features": ASKED, "entities": {"episode_id": ["e"]}}, 422, "entities.user_id"),
        ({"features": ASKED, "entities": {"user_id": [["u1"]]}}, 422, "entities"),
        ({"features": ASKED, "entities": {"user_id": [True]}}, 422, "entities"),
        ({"features": ASKED, "entities": {"user_id": [10**30]}}, 422, "entities.user_id"),
        ({"features": ASKED, "entities": {"user_id": ["\ud800"]}}, 400, "body"),
        ({"features": ASKED, "entities": {"user_id": ["u"] * 4}}, 413, "entities"),
        ({"features": ["read_count_1h"], "entities": {"user_id": ["u"]}}, 422, "features"),
        ({"features": [], "entities": {"user_id": ["u"]}}, 400, "features"),
        ({"features": [ASKED[0], ASKED[0]], "entities": {"user_id": ["u"]}}, 400, "features"),
    ],
)
def test_a_bad_request_names_the_field(document: Any, status: int, field: str) -> None:
    found = post(document)
    assert found.status_code == status
    assert found.json()["error"]["field"].startswith(field)


def test_without_a_key_nothing_is_told() -> None:
    assert post({"features": ASKED, "entities": {"user_id": ["u1"]}}, key=False).status_code == 401


def test_an_entity_that_is_null_is_not_found() -> None:
    (column,) = post({"features": ASKED[:1], "entities": {"user_id": [None]}}).json()["results"][1:]
    assert column["statuses"] == ["NOT_FOUND"]


def test_two_features_of_one_name_need_full_names() -> None:
    both = ["user_features:country", "session_features:country"]
    with pytest.raises(BadRequest, match="country would be in the answer more than once"):
        asked_views(tuple(both), None, full_names=False)
    assert [asked.view.name for asked in asked_views(tuple(both), None, full_names=True)] == [
        "user_features",
        "session_features",
    ]


def test_a_view_is_asked_once_however_its_features_are_ordered() -> None:
    mixed = ("user_features:read_count_1h", "episode_features:genre", "user_features:country")
    found = asked_views(mixed, None, full_names=False)
    assert [asked.features for asked in found] == [("read_count_1h", "country"), ("genre",)]


def test_parts_of_an_id_are_joined_and_only_the_first_may_hold_the_separator() -> None:
    entities = {"episode_id": ["e", "e|f", None, 7], "session_id": ["s|1", "s", "s", 5]}
    assert ids_of(SERVED["session_features"], entities) == ["s|1|e", None, None, "5|7"]


def test_a_time_in_an_id_may_be_seconds() -> None:
    view = SERVED["derived_session_features"]
    ids = ids_of(view, {"user_id": ["u"] * 2, "session_start": [1.5, "2026-01-01T00:00:00Z"]})
    parts = [view.entity_of(one) for one in ids if one]
    assert parts == [
        ("u", "1970-01-01T00:00:01.500000Z"),
        ("u", "2026-01-01T00:00:00.000000Z"),
    ]


def test_lists_of_one_length_are_counted() -> None:
    assert entity_count({"a": [1, 2], "b": [3, 4]}) == 2
    with pytest.raises(Unprocessable, match="lengths differ"):
        entity_count({"a": [1, 2], "b": [3]})


def test_an_unknown_name_is_also_our_error() -> None:
    with pytest.raises(NotFound) as found:
        asked_views(("user_featurs:read_count_1h",), None, full_names=False)
    assert isinstance(found.value, NotInFeast)
    assert "user_features" in found.value.details["nearest"]
