"""Patterns and anomalies on a state store: any arrival, any watermarks, restarts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import patterns as oracle
from shopping import MINUTE, SECOND, START, at, event, frame, log
from spark_state import Restarted, Store

from streaming.packing import from_blob, to_blob
from streaming.watching import LOOK_EVERY_US, Watched, WatchKeeper

DAY = 1440 * MINUTE
ANY = ["product_view", "add_to_cart", "purchase", "remove_from_cart", "click", "page_view"]
# Whole logs of what makes one rule busy, and of everything.
KINDS = [ANY, ANY[:4], ANY[1:4], ANY[:2], ANY[:2], ["click", "page_view"]]
CATEGORIES = {"a": "x", "b": "x", "c": "x", "d": "y", "e": None}
GAPS = [
    0,
    1,
    99_999,
    100_000,
    SECOND,
    3 * MINUTE,
    *(limit + more for limit in (10 * MINUTE, 60 * MINUTE, 30 * DAY) for more in (-1, 0, 1)),
]
Event = dict[str, Any]


def keeper(store: Store) -> Restarted:
    return Restarted(store, WatchKeeper)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Times lie on the rules' limits; ids say nothing about them."""
    events, now = [], START
    size = draw(st.sampled_from([1, 5, 10, 15, 20, 25]))
    short, long = st.sampled_from(GAPS[:6]), st.sampled_from(GAPS)
    is_quick = draw(st.booleans())
    kinds = draw(st.sampled_from(KINDS))
    products = draw(st.sampled_from(["abc", "abcde", "aaab"]))
    users = draw(st.sampled_from([["u"], ["u", "책", None]]))
    for number in draw(st.permutations(range(size))):
        now += draw(short if is_quick else short | short | long)
        kind = draw(st.sampled_from(kinds))
        product = draw(st.sampled_from(products))
        more: Event = {"ip": draw(st.sampled_from([None, None, "1", "2"]))}
        if kind in ("product_view", "add_to_cart", "remove_from_cart"):
            more |= {"product_id": product, "category": CATEGORIES[product]}
        if kind == "purchase":
            more["items"] = draw(st.sampled_from([None, [], [{"product_id": product}]]))
            more["total_amount"] = draw(st.sampled_from([None, 0.0, 1.0, 5.0, 6.0, 31.0, 1e308]))
        more["user_id"] = draw(st.sampled_from(users))
        events.append(event(number, now, kind, **more))
    return events


class Seen:
    """All that the steps put out."""

    def __init__(self) -> None:
        self.steps: list[Watched] = []

    def add(self, step: Watched) -> None:
        self.steps.append(step)

    def rows(self, name: str) -> list[Event]:
        return [row for step in self.steps for row in getattr(step, name).to_dicts()]

    def alerts(self) -> list[tuple[str, str]]:
        return sorted((row["event_id"], row["alert_type"]) for row in self.rows("alerts"))

    def messages(self) -> list[tuple[str, str, tuple[str, ...], int]]:
        names = ("user_id", "pattern", "product_ids", "detected_at")
        rows = [[row[name] for name in names] for row in self.rows("messages")]
        return sorted((user, name, tuple(products), time) for user, name, products, time in rows)

    def flags(self) -> dict[str, list[tuple[int, str]]]:
        """The last word of each time, if it differs from the one before."""
        last: dict[str, dict[int, str]] = {}
        for row in sorted(self.rows("flags"), key=lambda row: (row["event_at"], row["event_id"])):
            last.setdefault(row["user_id"], {})[row["event_at"]] = row["pattern_detected"]
        histories = {user: _changes(list(times.items())) for user, times in last.items()}
        return {user: history for user, history in histories.items() if history}


def _changes(times: list[tuple[int, str]]) -> list[tuple[int, str]]:
    before = ["", *(name for _, name in times)]
    return [one for one, name in zip(times, before, strict=False) if one[1] != name]


@given(logs(), st.data())
@settings(max_examples=100, deadline=None)
def test_any_arrival_and_any_watermarks_give_what_the_slow_way_finds(
    events: list[Event], data: st.DataObject
) -> None:
    """Every step has a new keeper: what it does not find in the store it does not know."""
    store, seen, left = Store(), Seen(), data.draw(st.permutations(events))
    watermark = START - DAY
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        is_exact = data.draw(st.booleans())
        seen.add(keeper(store).step(frame(batch), watermark, is_exact=is_exact))
        oldest = min((one["event_at"] for one in left), default=watermark)
        watermark = max(watermark, data.draw(st.integers(watermark, max(oldest, watermark))))
    last = max(one["event_at"] for one in events)
    ages = [1, 10 * MINUTE, 10 * MINUTE + 1, 70 * MINUTE, 70 * MINUTE + 1, 31 * DAY]
    watermark = max(watermark, last + data.draw(st.sampled_from(ages)))
    seen.add(keeper(store).step(frame([]), watermark, is_exact=True))
    assert seen.alerts() == sorted(oracle.alerts(events, watermark))
    assert seen.messages() == oracle.detections(events, watermark)
    assert seen.flags() == oracle.flags(events, watermark)
    assert sum(step.late + len(step.capped) for step in seen.steps) == 0


def test_events_wait_until_the_watermark_has_passed_them() -> None:
    store = Store()
    clicks = frame(log("0:05 click", "0:05.05 click"))
    first = keeper(store).step(clicks, at("0:05.05"), is_exact=True)
    assert (first.alerts.height, first.live, first.next_due) == (0, 1, at("0:05.05"))
    assert keeper(store).step(frame([]), at("0:05.05"), is_exact=True).alerts.is_empty()
    second = keeper(store).step(frame([]), at("0:05.05") + 1, is_exact=True)
    assert second.alerts["event_id"].to_list() == ["e0001"]


def test_what_comes_one_by_one_waits_together() -> None:
    store = Store()
    for clock in ("0:05.50", "0:05.45", "0:05.52"):
        click = {**log(f"{clock} click")[0], "event_id": clock}
        waiting = keeper(store).step(frame([click]), START, is_exact=True)
    assert waiting.next_due == at("0:05.45")
    found = keeper(store).step(frame([]), at("0:06"), is_exact=True)
    assert found.alerts["event_id"].to_list() == ["0:05.50", "0:05.52"]


def test_an_event_whose_time_is_decided_is_late_and_changes_nothing() -> None:
    store = Store()
    keeper(store).step(frame(log("0:05 click")), at("0:10"), is_exact=True)
    late = frame([*log("0:09.999999 click"), event(7, START, "page_view"), *log("0:10 click")])
    found = keeper(store).step(late, at("0:20"), is_exact=True)
    assert (found.late, found.alerts.height) == (1, 0)  # nobody cares for the page


def test_an_event_may_come_with_the_watermark_that_decides_it() -> None:
    store = Store()
    keeper(store).step(frame(log("0:05 click")), at("0:05"), is_exact=True)
    found = keeper(store).step(frame(log("0:05.01 click")), at("5:00"), is_exact=True)
    assert (found.late, found.alerts.height) == (0, 1)


def test_while_the_stream_runs_events_are_decided_by_the_second_and_timers_by_the_slot() -> None:
    store = Store()
    start = START // LOOK_EVERY_US * LOOK_EVERY_US
    added = frame([event(1, start, "add_to_cart", product_id="a")])
    buffered = keeper(store).step(added, start, is_exact=False)
    assert buffered.next_due == start + SECOND - 1
    early = keeper(store).step(frame([]), start + SECOND - 1, is_exact=False)
    assert (early.live, early.next_due) == (0, start + SECOND - 1)
    deadline = start + 10 * MINUTE
    decided = keeper(store).step(frame([]), start + SECOND, is_exact=False)
    assert (decided.live, decided.next_due) == (1, deadline + LOOK_EVERY_US - 1)
    early = keeper(store).step(frame([]), deadline + LOOK_EVERY_US - 1, is_exact=False)
    assert early.messages.is_empty()
    due = keeper(store).step(frame([]), deadline + LOOK_EVERY_US, is_exact=False)
    assert due.messages["detected_at"].to_list() == [deadline]
    assert due.flags["event_at"].to_list() == [deadline]


def test_in_a_replay_timers_go_off_to_the_microsecond() -> None:
    store = Store()
    keeper(store).step(frame(log("0:00 add a")), at("0:01"), is_exact=True)
    assert keeper(store).step(frame([]), at("10:00"), is_exact=True).messages.is_empty()
    assert keeper(store).step(frame([]), at("10:00") + 1, is_exact=True).messages.height == 1


def test_a_user_who_was_looked_at_too_early_is_looked_at_again() -> None:
    store = Store()
    keeper(store).step(frame(log("0:03 add a")), at("0:04"), is_exact=True)
    assert keeper(store).step(frame([]), at("10:02"), is_exact=True).messages.is_empty()
    assert keeper(store).step(frame([]), at("10:04"), is_exact=True).messages.height == 1


def test_a_new_deadline_may_lie_before_the_one_that_is_waited_for() -> None:
    store = Store()
    keeper(store).step(frame(log("0:00 add a")), at("11:00"), is_exact=False)
    assert keeper(store).step(frame([]), at("12:00"), is_exact=False).live == 1
    keeper(store).step(frame(log("12:00 add b")), at("13:00"), is_exact=False)
    found = keeper(store).step(frame([]), at("23:00"), is_exact=False)
    assert found.messages["product_ids"].to_list() == [["b"]]


def test_what_is_to_be_done_next_is_said_until_nobody_is_left() -> None:
    store, times = Store(), []
    step = keeper(store).step(frame(log("0:00 add a", "1:00 from 1")), START, is_exact=False)
    while step.next_due is not None:
        times.append(step.next_due)
        assert keeper(store).step(frame([]), step.next_due, is_exact=False).flags.is_empty()
        step = keeper(store).step(frame([]), step.next_due + 1, is_exact=False)
    assert len(times) == 5  # two seconds, the deadline, the end of the flag, thirty days
    assert (step.live, store.blobs) == (0, {})


def test_rows_of_an_older_version_lack_a_column_that_is_new() -> None:
    store = Store()
    keeper(store).step(frame(log("0:05 click", "0:05.05 click")), START, is_exact=True)
    for number, blob in store.blobs.items():
        store.states["state"][number,] = (to_blob(from_blob(blob).drop("ip")),)
    found = keeper(store).step(frame(log("0:05.06 from 1")), at("1:00"), is_exact=True)
    assert found.alerts["alert_type"].to_list() == ["rapid_clicks"]
