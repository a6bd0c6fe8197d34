"""The calls of recommending, without stores: what may be asked, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import msgspec
import pytest

from serving.api.app import create_app
from serving.api.keys import Key
from serving.api.services import Services
from serving.errors import Unauthorised
from serving.recommend.arms import Arm, Arms
from serving.recommend.catalogue import Catalogue, Keeper, catalogue_of, episode_heat, product_heat
from serving.recommend.episodes import Episodes
from serving.recommend.impressions import MemoryImpressions
from serving.recommend.ports import MemoryFeatures, MemoryRecent
from serving.recommend.recommender import Recommender
from serving.recommend.shopping import Shopping
from serving.settings import ServingSettings

KEYS = {
    "reads": Key("1", "", frozenset({"read"})),
    "collects": Key("2", "", frozenset({"collect"})),
}
PRODUCTS = {f"p{n}": {"category": "books", "popularity_score": float(n)} for n in range(150)}
EPISODES = {f"e{n}": {"genre": "drama", "read_count_24h": n} for n in range(150)}


class Ring:
    """Knows the keys above."""

    def known(self, secret: str) -> Key | None:
        return KEYS.get(secret)

    async def find(self, _: str) -> Key:
        raise Unauthorised("not known")


async def products() -> Catalogue:
    return catalogue_of(PRODUCTS, group="category", heat=product_heat)


async def episodes() -> Catalogue:
    return catalogue_of(EPISODES, group="genre", heat=episode_heat)


def recommender() -> Recommender:
    features = MemoryFeatures({"product_features": PRODUCTS, "episode_features": EPISODES})
    return Recommender(
        shopping=Shopping(features, MemoryRecent({"known": ["p149"]}), Keeper(products)),
        episodes=Episodes(features, Keeper(episodes)),
        arms=Arms([Arm(name="rules", share=1)], experiment="x"),
        impressions=MemoryImpressions(),
    )


def call(method: str, path: str, *, key: str = "reads", **more: Any) -> httpx.Response:
    async def answered() -> httpx.Response:
        services = Services(
            settings=ServingSettings(access_log=False),
            online=cast("Any", None),
            keys=cast("Any", Ring()),
            postgres=cast("Any", None),
            recommender=recommender(),
        )
        transport = httpx.ASGITransport(create_app(services))
        bearer = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api", headers=bearer
        ) as client:
            return await client.request(method, path, **more)

    return asyncio.run(answered())


def get(user_id: str, **asked: Any) -> httpx.Response:
    return call("GET", f"/v1/recommendations/{user_id}", params=asked)


def pairs(body: bytes) -> httpx.Response:
    return call("POST", "/v1/recommendation-features", content=body)


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("domain", ["commerce", "webtoon"])
def test_k_items_are_answered(k: int, domain: str) -> None:
    answer = get("u", k=k, domain=domain)
    assert answer.status_code == 200
    assert [item["rank"] for item in answer.json()["items"]] == list(range(1, k + 1))


def test_ten_items_are_answered_when_nothing_is_said() -> None:
    document = get("known").json()
    assert len(document["items"]) == 10
    assert document["user_id"] == "known"
    assert document["request_id"] != get("known").json()["request_id"]
    assert all(item["because"] and item["reason"] for item in document["items"])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": -1}, "k"),
        ({"k": 101}, "k"),
        ({"k": "many"}, "k"),
        ({"k": ""}, "k"),
        ({"k": "1e1"}, "k"),
        ({"domain": "films"}, "domain"),
        ({"country": "x" * 201}, "country"),
        ({"genre": "x" * 201}, "genre"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_field(asked: dict[str, Any], field: str) -> None:
    answer = get("u", **asked)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["field"]


@pytest.mark.parametrize(
    ("path", "user_id"),
    [
        ("a%2Fb", "a/b"),
        ("a/b", "a/b"),
        ("%00", "\0"),
        ("%F0%9F%98%80", "\U0001f600"),
        ("a%0Ab", "a\nb"),
        ("x" * 2_000, "x" * 2_000),
        ("", ""),
    ],
)
def test_any_user_id_gets_an_answer(path: str, user_id: str) -> None:
    answer = get(path, k=2)
    assert answer.status_code == 200
    assert answer.json()["user_id"] == user_id
    assert len(answer.json()["items"]) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 422),
        (b"[]", 422),
        (b'{"user_id": "u"}', 422),
        (b'{"product_ids": []}', 422),
        (b'{"user_id": 3, "product_ids": []}', 422),
        (b'{"user_id": "u", "product_ids": "p"}', 422),
        (b'{"user_id": "u", "product_ids": [null]}', 422),
        (msgspec.json.encode({"user_id": "u", "product_ids": ["p"] * 1_001}), 413),
        (b" " * ((1 << 20) + 1), 413),
        (b'{"user_id": "u", "product_ids": []}', 200),
        (b'{"user_id": "\\u0000", "product_ids": ["\\u0000", "p|q", "", "\\n"]}', 200),
    ],
)
def test_junk_is_refused(body: bytes, status: int) -> None:
    answer = pairs(body)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["message"]


def test_candidates_are_another_name_for_products() -> None:
    by_one, by_other = (
        pairs(msgspec.json.encode({"user_id": "u", name: ["p1", "p2", "p1"]}))
        for name in ("product_ids", "candidates")
    )
    assert by_one.json() == by_other.json()
    assert [each["product_id"] for each in by_one.json()["results"]] == ["p1", "p2", "p1"]


@pytest.mark.parametrize(("key", "status"), [("nobody", 401), ("collects", 403)])
def test_a_key_must_read(key: str, status: int) -> None:
    assert call("GET", "/v1/recommendations/u", key=key).status_code == status
    body = b'{"user_id": "u", "product_ids": []}'
    answer = call("POST", "/v1/recommendation-features", key=key, content=body)
    assert answer.status_code == status
