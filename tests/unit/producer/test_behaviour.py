"""Readers and shoppers behave as their tables say, and users stay who they are."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from random import Random

import pytest

from producer.catalogue import dimensions
from producer.commerce import SHOPPER
from producer.population import Audience, Zipf, profile
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sources import SOURCES
from producer.times import HOUR_US, SECOND_US
from producer.transitions import LEAVES, Step, Walk, reweighted
from producer.webtoon import READER

START_US = 1_767_225_600 * SECOND_US


def log(domain: str, **changes: object) -> list[Sent]:
    given = {"rate": 200, "duration": 60, "users": 300, "seed": 3, "start_us": START_US}
    return list(simulate(Simulation(domain=domain, **{**given, **changes})))


def events(domain: str, **changes: object) -> list[dict]:
    return [json.loads(sent.value) for sent in log(domain, **changes)]


def sessions(domain: str, **changes: object) -> list[list[dict]]:
    found: dict[str, list[dict]] = defaultdict(list)
    for event in events(domain, **changes):
        if "session_id" in event:
            found[event["session_id"]].append(event)
    return list(found.values())


@pytest.fixture(scope="module")
def readings() -> list[list[dict]]:
    return sessions("webtoon")


@pytest.fixture(scope="module")
def visits() -> list[list[dict]]:
    """Visits of which every event was sent in the canonical shape."""
    return [visit for visit in sessions("commerce") if is_canonical(visit)]


def is_canonical(visit: list[dict]) -> bool:
    return "context" not in visit[0] and visit[-1]["event_id"].endswith(f"-{len(visit)}")


def test_a_reading_begins_with_enter_and_ends_with_complete_or_exit(readings: list) -> None:
    for reading in readings:
        types = [event["event_type"] for event in reading]
        assert types[0] == "enter"
        assert set(types[1:-1]) <= {"scroll"}
        assert types[-1] in ("enter", "scroll", "complete", "exit")


def test_scrolling_only_goes_down_and_ends_before_complete(readings: list) -> None:
    for reading in readings:
        ratios = [e["scroll_ratio"] for e in reading if e["event_type"] == "scroll"]
        assert ratios == sorted(ratios)
        if reading[-1]["event_type"] == "complete":
            assert ratios[-1] == 1.0


def test_readers_think_between_events(readings: list) -> None:
    assert all(
        earlier["timestamp"] < later["timestamp"]
        for reading in readings
        for earlier, later in pairwise(reading)
    )


def test_a_reading_stays_with_its_user_and_episode(readings: list) -> None:
    names = ("user_id", "episode_id", "country", "device", "platform", "experiment_group")
    assert all(len({tuple(e[n] for n in names) for e in reading}) == 1 for reading in readings)


def test_a_user_is_the_same_person_under_every_seed() -> None:
    seen: dict[str, set] = defaultdict(set)
    for seed in range(3):
        for event in events("webtoon", seed=seed, duration=20):
            names = ("country", "device", "platform", "experiment_group", "ui_version")
            seen[event["user_id"]].add(tuple(event[name] for name in names))
    assert {len(profiles) for profiles in seen.values()} == {1}


def test_devices_agree_with_platforms() -> None:
    pairs = {(profile(i).platform, profile(i).device) for i in range(2000)}
    assert not pairs & {("ios", "desktop"), ("android", "desktop")}
    web = Counter(profile(i).device for i in range(2000) if profile(i).platform == "web")
    assert web["desktop"] > 0.7 * web.total()


def test_the_experiment_changes_how_many_leave() -> None:
    exits, ends = Counter(), Counter()
    for reading in sessions("webtoon", duration=100):
        last = reading[-1]
        ends[last["experiment_group"]] += last["event_type"] in ("complete", "exit")
        exits[last["experiment_group"]] += last["event_type"] == "exit"
    rates = {group: exits[group] / ends[group] for group in "ABC"}
    assert rates["B"] < rates["A"] < rates["C"]


def test_few_episodes_have_most_of_the_readings(readings: list) -> None:
    counts = Counter(reading[0]["episode_id"] for reading in readings)
    top = sum(count for _, count in counts.most_common(50))
    assert top > 0.5 * counts.total()


def test_visits_begin_on_a_page_and_follow_the_table(visits: list) -> None:
    reachable = defaultdict(set)
    for steps in SHOPPER.values():
        for step in steps:
            into = step.to
            reachable[step.event] |= {following.event for following in SHOPPER.get(into, ())}
            if into == "cart":  # an emptied basket
                reachable[step.event] |= {following.event for following in SHOPPER["browsing"]}
    for visit in visits:
        types = [event["event_type"] for event in visit]
        assert types[0] == "page_view"
        for earlier, later in pairwise(types):
            assert later in reachable[earlier]


def test_a_purchase_is_its_items_less_discount_plus_shipping(visits: list) -> None:
    purchases = [e for visit in visits for e in visit if e["event_type"] == "purchase"]
    assert len(purchases) > 50
    for event in purchases:
        items = sum(item["quantity"] * item["unit_price"] for item in event["items"])
        paid = items - event["discount"] + event["shipping_fee"]
        assert event["total_amount"] == pytest.approx(paid, abs=0.005)


def test_only_what_lies_in_the_basket_is_bought_or_removed(visits: list) -> None:
    for visit in visits:
        basket: Counter[str] = Counter()
        for event in visit:
            if event["event_type"] == "add_to_cart":
                basket[event["product_id"]] += event["quantity"]
            elif event["event_type"] == "remove_from_cart":
                assert basket.pop(event["product_id"]) == event["quantity"]
            elif event["event_type"] == "purchase":
                assert {i["product_id"]: i["quantity"] for i in event["items"]} == basket
                basket.clear()


def test_baskets_are_abandoned_and_products_compared(visits: list) -> None:
    carted = [v for v in visits if any(e["event_type"] == "add_to_cart" for e in v)]
    bought = [v for v in carted if any(e["event_type"] == "purchase" for e in v)]
    assert 0.1 < len(bought) / len(carted) < 0.6
    compared = 0
    for visit in visits:
        views = Counter(
            e["category"] for e in visit if e["event_type"] == "product_view" and "category" in e
        )
        compared += max(views.values(), default=0) >= 3
    assert compared > 0.05 * len(visits)


def test_all_four_shapes_are_sent() -> None:
    shapes = Counter(
        "bare"
        if "event_time" in event
        else "camel"
        if "eventType" in event
        else "nested"
        if "context" in event
        else "flat"
        for event in events("commerce")
    )
    assert set(shapes) == {"bare", "camel", "nested", "flat"}
    assert shapes["flat"] > 0.8 * shapes.total()


def test_every_source_is_sent_and_ids_keep_their_row() -> None:
    topics, tickets = set(), defaultdict(list)
    for sent in log("sources"):
        topics.add(sent.topic)
        if sent.topic == "support-tickets":
            tickets[sent.key].append(json.loads(sent.value)["status"])
    assert topics == {source.topic for source in SOURCES}
    assert all(states[0] == "open" for states in tickets.values())
    assert any(states[-1] == "closed" for states in tickets.values())


def test_events_refer_to_the_catalogue(readings: list) -> None:
    known = {episode.episode_id for episode in dimensions().episodes}
    assert {reading[0]["episode_id"] for reading in readings} <= known
    assert (len(known), len({p.product_id for p in dimensions().products})) == (500, 1000)


def test_a_country_asleep_sends_less() -> None:
    def koreans(hour_utc: int) -> int:
        rng, audience = Random(1), Audience(1000)
        drawn = [audience.draw(rng, START_US + hour_utc * HOUR_US) for _ in range(3000)]
        return sum(user.country == "KR" for user in drawn)

    assert koreans(19) < 0.9 * koreans(13)  # 4 and 22 o'clock in Seoul


def test_zipf_prefers_the_first() -> None:
    rng, zipf = Random(1), Zipf(100, exponent=1.0)
    counts = Counter(zipf.draw(rng) for _ in range(10_000))
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.4)
    assert set(counts) <= set(range(100))


def test_a_walk_draws_by_weight_and_stops_where_nothing_follows() -> None:
    walk = Walk({"here": (Step("go", "there", 3.0), Step(LEAVES, "there", 1.0))})
    rng = Random(1)
    went = [walk.step("here", rng) is not None for _ in range(4000)]
    assert sum(went) / 4000 == pytest.approx(0.75, abs=0.03)
    assert walk.step("there", rng) is None


def test_reweighting_touches_one_event_only() -> None:
    changed = reweighted(READER, "exit", 2.0)
    assert [s.weight for s in changed["bottom"]] == [0.92, 0.16]
    assert changed["outside"] == READER["outside"]
