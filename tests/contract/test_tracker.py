"""The tracker in a real browser against the real collector, and a walk through the sample pages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium
from served import served
from stacks import consume, settings_for

from features.contracts import CONTRACTS
from features.validation import Accepted, validate
from infra.endpoints import Endpoints

pytestmark = [pytest.mark.stack, pytest.mark.slow]

WAIT_S = 10
BLANK = "<!doctype html><title>blank</title><script src='/tracker.js'></script><p>Hello</p>"
Event = dict[str, Any]


@pytest.fixture(scope="module")
def api(stack: Endpoints, stack_home: Path) -> Iterator[str]:
    settings = settings_for(stack_home).model_copy(update={"samples": True})
    with served(settings, stack) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser that has never been here; what its pages complain of fails the test."""
    context = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_S * 1000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert not errors


@pytest.fixture
def page(context: Any, api: str) -> Any:
    """An empty page of the API's own origin that has the tracker."""
    context.route(f"{api}/blank", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
    page = context.new_page()
    page.goto(f"{api}/blank")
    return page


def start(page: Any, user: str, **options: Any) -> str:
    """Start a tracker in the page; returns its session id."""
    given = json.dumps({"userId": user, "batchMs": 100, "firstRetryMs": 100, **options})
    return str(
        page.evaluate(
            f"""async () => {{
                const setup = await (await fetch("/samples/setup.json")).json();
                window.tracker = userflow.start({{key: setup.collect_key, ...{given}}});
                return tracker.sessionId();
            }}"""
        )
    )


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Somebody whom only this test knows."""
    return f"{request.node.name}-{time.time_ns()}"


@pytest.fixture
def received(stack: Endpoints, user: str) -> Callable[..., list[Event]]:
    """The valid events of the user in Kafka, in their order, once there are as many as expected."""

    def read(count: int, topic: str = "user-events") -> list[Event]:
        deadline = time.monotonic() + WAIT_S
        while len(found := _events(stack, topic, user)) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(found) >= count, found
        return found

    return read


def _events(stack: Endpoints, topic: str, user: str) -> list[Event]:
    found = []
    for message in consume(stack, topic):
        if user.encode() in message.value():
            received_us = int(dict(message.headers())["received_at"]) * 1000
            outcome = validate(CONTRACTS[topic], message.value(), received_us)
            assert isinstance(outcome, Accepted), outcome
            found.append(outcome.event)
    return found


def once(events: list[Event]) -> list[Event]:
    """Without the copies that beacons and resends are."""
    return list({event["event_id"]: event for event in events}.values())


def until(page: Any, condition: str) -> None:
    page.wait_for_function(condition)


def test_events_go_in_batches(page: Any, user: str, received: Callable[..., list[Event]]) -> None:
    requests: list[int] = []
    page.on(
        "request",
        lambda request: (
            requests.append(len(json.loads(request.post_data)))
            if "/v1/events" in request.url
            else None
        ),
    )
    session = start(page, user, batchSize=5, batchMs=300)
    page.evaluate("() => { for (let n = 0; n < 7; n++) tracker.click('button-' + n); }")
    until(page, "() => tracker.pending() === 0")
    assert requests == [5, 2]
    assert page.evaluate("() => tracker.counts().accepted") == 7
    events = received(7)
    assert {event["element_id"] for event in events} == {f"button-{n}" for n in range(7)}
    assert len({event["event_id"] for event in events}) == 7
    assert {event["session_id"] for event in events} == {session}
    assert {(event["platform"], event["device_type"]) for event in events} == {("web", "desktop")}
    assert events[0]["user_agent"].startswith("Mozilla/")
    assert events[0]["ip"] == "127.0.0.0"


def test_what_is_not_taken_is_sent_again_after_a_pause(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    tries: list[float] = []

    def twice_busy(route: Any) -> None:
        tries.append(time.monotonic())
        if len(tries) == 1:
            route.abort()  # nobody is there
        elif len(tries) == 2:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
        else:
            route.continue_()

    page.route("**/v1/events*", twice_busy)
    start(page, user)
    page.evaluate("() => tracker.pageView({page_type: 'test'})")
    until(page, "() => tracker.counts().accepted === 1")
    assert len(tries) == 3
    assert tries[1] - tries[0] >= 0.1
    assert tries[2] - tries[1] >= 1
    assert page.evaluate("() => tracker.counts().retries") == 2
    assert len(received(1)) == 1


def test_a_queue_survives_a_reload_and_is_bounded(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    page.route("**/v1/events*", lambda route: route.abort())
    session = start(page, user, maxQueue=3)
    page.evaluate("() => { for (let n = 0; n < 5; n++) tracker.click('b' + n); }")
    until(page, "() => tracker.counts().retries > 0")
    assert page.evaluate("() => [tracker.pending(), tracker.counts().dropped]") == [3, 2]
    page.reload()
    page.unroute("**/v1/events*")
    assert start(page, user) == session  # the same visit goes on
    until(page, "() => tracker.pending() === 0")
    # When the page went a beacon had taken them already: they are the same events.
    assert {event["element_id"] for event in received(3)} == {"b2", "b3", "b4"}
    assert len(once(received(3))) == 3
    assert page.evaluate("() => Object.keys(localStorage)") == []


def test_a_tab_that_was_closed_leaves_its_queue_to_the_next_one(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    orphan = {
        "at": time.time() * 1000 - 61_000,
        "entries": [
            {
                "topic": "user-events",
                "event": {
                    "event_id": f"{user}-orphan",
                    "event_type": "click",
                    "element_id": "b",
                    "user_id": user,
                    "timestamp": time.time(),
                },
            }
        ],
    }
    page.evaluate("(kept) => localStorage.setItem('userflow.queue.x', kept)", json.dumps(orphan))
    start(page, user)
    until(page, "() => tracker.pending() === 0")
    assert [event["event_id"] for event in received(1)] == [f"{user}-orphan"]


def test_when_the_page_goes_a_beacon_takes_what_waits(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    start(page, user, batchMs=60_000)
    sent = page.evaluate("() => tracker.addToCart({product_id: 'prod_0001', price: 9.9})")
    page.goto("about:blank")
    (event,) = received(1)
    assert (event["event_type"], event["event_id"]) == ("add_to_cart", sent)


def test_a_beacon_is_followed_by_the_same_event_and_no_other(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    """Nobody hears what became of a beacon, so the next page sends it again under the same id."""
    start(page, user, batchMs=60_000)
    sent = page.evaluate("() => tracker.click('b')")
    page.reload()
    start(page, user)
    until(page, "() => tracker.pending() === 0")
    events = received(2)
    assert [event["event_id"] for event in events] == [sent, sent]


def test_a_session_ends_after_half_an_hour_of_nothing(page: Any, user: str) -> None:
    first = start(page, user)
    page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem('userflow.session'));
            kept.at -= 29 * 60 * 1000;
            sessionStorage.setItem('userflow.session', JSON.stringify(kept));
        }"""
    )
    assert page.evaluate("() => tracker.sessionId()") == first
    page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem('userflow.session'));
            kept.at -= 31 * 60 * 1000;
            sessionStorage.setItem('userflow.session', JSON.stringify(kept));
        }"""
    )
    assert page.evaluate("() => tracker.sessionId()") != first


def test_a_key_that_is_not_taken_is_not_asked_again(page: Any, user: str) -> None:
    tries: list[str] = []
    page.on("request", lambda it: tries.append(it.url) if "/v1/events" in it.url else None)
    start(page, user, key="uf_wrong")
    page.evaluate("() => tracker.click('b')")
    page.wait_for_timeout(700)
    assert len(tries) == 1
    assert page.evaluate("() => tracker.pending()") == 1


def test_what_is_rejected_is_told_and_dropped(
    page: Any, user: str, received: Callable[..., list[Event]]
) -> None:
    start(page, user)
    page.evaluate(
        """() => {
            tracker.track('user-events', 'dance', {});
            tracker.click('b');
        }"""
    )
    until(page, "() => tracker.pending() === 0")
    counts = page.evaluate("() => tracker.counts()")
    assert (counts["accepted"], counts["rejected"]) == (1, 1)


def visiting(context: Any, kind: str, user: str) -> Any:
    """A new page whose visitor is the user."""
    known = f"localStorage.setItem('userflow.sample.{kind}', {json.dumps(user)})"
    context.add_init_script(f"if (location.protocol === 'http:') {known}")
    return context.new_page()


def test_a_walk_through_the_shop(
    context: Any, api: str, user: str, received: Callable[..., list[Event]]
) -> None:
    page = visiting(context, "shopper", user)
    page.goto(f"{api}/samples/shop")
    page.get_by_role("link", name="shoes", exact=True).click()
    page.locator(".good").first.click()
    page.get_by_role("button", name="Look closer").click()
    page.get_by_role("button", name="Put into the cart").click()
    page.get_by_role("searchbox").fill("jacket")
    page.keyboard.press("Enter")
    page.locator(".good").nth(1).click()
    page.get_by_role("button", name="Put into the cart").click()
    page.locator("#cart-link").click()
    page.get_by_role("button", name="Take out").first.click()
    page.get_by_role("button", name="Buy").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    events = received(12)
    assert [event["event_type"] for event in events] == [
        "page_view", "page_view", "product_view", "click", "add_to_cart", "search",
        "product_view", "add_to_cart", "page_view", "remove_from_cart", "purchase", "page_view",
    ]  # fmt: skip
    (bought,) = [event for event in events if event["event_type"] == "purchase"]
    (kept,) = bought["items"]
    assert bought["total_amount"] == kept["unit_price"]
    assert {event["user_id"] for event in events} == {user}
    assert "accepted" in page.locator("#log").inner_text()


def test_a_reader_scrolls_to_the_end(
    context: Any, api: str, user: str, received: Callable[..., list[Event]]
) -> None:
    page = visiting(context, "reader", user)
    page.goto(f"{api}/samples/webtoon?episode=ep_0002")
    page.locator(".episode").wait_for()
    for part in (0.2, 0.5, 0.8, 1):
        page.evaluate(f"() => window.scrollTo(0, {part} * document.body.scrollHeight)")
        page.wait_for_timeout(450)
    until(page, "() => document.querySelector('#log').innerText.includes('complete')")
    page.goto("about:blank")
    deadline = time.monotonic() + WAIT_S
    kinds: list[str] = []
    while "exit" not in kinds and time.monotonic() < deadline:  # by the beacon
        events = once(received(6, "webtoon_user_events"))
        kinds = [event["event_type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("enter", "exit")
    assert kinds.count("complete") == 1
    ratios = [event["scroll_ratio"] for event in events if event["event_type"] == "scroll"]
    assert ratios == sorted(ratios)
    assert ratios[-1] > 0.95
    assert {(event["country"], event["episode_id"]) for event in events} == {("KR", "ep_0002")}


def test_without_the_setting_there_are_no_sample_pages(
    stack: Endpoints, stack_home: Path, browser: Any
) -> None:
    with served(settings_for(stack_home), stack) as address:
        page = browser.new_page()
        for path in ("samples/shop", "samples/setup.json", "samples/products.json"):
            answer = page.goto(f"{address}/{path}")
            assert answer.status == 404
            assert "uf_" not in answer.text()
        assert page.goto(f"{address}/tracker.js").status == 200
        page.close()
