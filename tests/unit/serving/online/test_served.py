"""Views as they are served: ids, keys in Redis, names that nobody declared."""

from __future__ import annotations

import pytest

from features.marts import PUBLISHED
from features.views import VIEWS
from serving.errors import NotFound
from serving.online.served import SERVED, served_view


def test_every_declared_view_is_served() -> None:
    assert set(SERVED) == {*VIEWS, *PUBLISHED}
    assert all(view.features and view.entity for view in SERVED.values())


@pytest.mark.parametrize(
    ("view", "entity_id", "entity"),
    [
        ("user_features", "u|1", ("u|1",)),
        ("session_features", "s1|e1", ("s1", "e1")),
        ("session_features", "s|1|e1", ("s|1", "e1")),
        ("session_features", "s1", None),
        ("segment_features", "KR|action|07", ("KR", "action", "7")),
        ("segment_features", "KR|action|seven", None),
        ("segment_features", "KR|action|-1", None),
        ("segment_features", "KR|action|99999999999999999999999", None),
        ("segment_features", "KR|action|٣", None),
        (
            "derived_session_features",
            "u1|2026-01-01T12:00:00.5+09:00",
            ("u1", "2026-01-01T03:00:00.500000Z"),
        ),
        ("derived_session_features", "u1|1767225600000", ("u1", "2026-01-01T00:00:00.000000Z")),
        ("derived_session_features", "u1|yesterday", None),
        ("derived_session_features", "u1|0001-01-01", ("u1", "0001-01-01T00:00:00.000000Z")),
        ("derived_session_features", "u1|0001-01-01T00:00:00+01:00", None),
        ("derived_session_features", "u1|9999-12-31T23:59:59-01:00", None),
        ("derived_session_features", "u1|", None),
        ("derived_session_features", "u1|-1e30", None),
        ("experiment_features", "A|", ("A", "")),
        ("user_features", "", ("",)),
    ],
)
def test_an_id_has_parts(view: str, entity_id: str, entity: tuple[str, ...] | None) -> None:
    assert SERVED[view].entity_of(entity_id) == entity


@pytest.mark.parametrize(
    ("view", "entity_id", "key"),
    [
        ("session_features", "s{0}|e:1", "webtoon_session:s{0}:e:1"),
        ("commerce_user_features", "u1", "user_features:u1"),
        (
            "derived_session_features",
            "u1|2026-01-01T00:00:00.123456Z",
            "session_features:u1:1767225600123",
        ),
    ],
)
def test_a_redis_key_is_made_of_the_parts(view: str, entity_id: str, key: str) -> None:
    served = SERVED[view]
    assert served.key_of(served.entity_of(entity_id) or ()) == key


@pytest.mark.parametrize(
    ("name", "nearest"), [("user_feature", "user_features"), ("sesion_features", "session")]
)
def test_an_unknown_view_is_told_with_its_neighbours(name: str, nearest: str) -> None:
    with pytest.raises(NotFound, match=nearest) as caught:
        served_view(name)
    assert caught.value.details["nearest"]


def test_an_unknown_feature_is_told_with_its_neighbours() -> None:
    with pytest.raises(NotFound, match="view_count_1h"):
        SERVED["commerce_user_features"].columns(["view_count_1hour"])


def test_features_come_in_the_order_that_was_asked_for_and_once() -> None:
    columns = SERVED["user_features"].columns(["country", "read_count_1h", "country"])
    assert [column.name for column in columns] == ["country", "read_count_1h"]
