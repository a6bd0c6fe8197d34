"""Each pattern at its limits, told as a shopper's log."""

from __future__ import annotations

import polars as pl
import pytest
from shopping import at, clock, folded, frame, log

from features.machines import MOST
from features.watching import RULES, fold, relevant


def messages(*lines: str, until: str = "999999:00") -> list[str]:
    found = folded(*lines, until=until).messages.sort("detected_at")
    return [
        f"{clock(row['detected_at'])} {row['pattern']} {','.join(row['product_ids'])}"
        for row in found.to_dicts()
    ]


def flags(*lines: str, until: str = "999999:00") -> list[str]:
    found = folded(*lines, until=until).flags.sort("event_at", "event_id")
    return [
        f"{clock(row['event_at'])} {row['pattern_detected']}".strip() for row in found.to_dicts()
    ]


COMPARED = ("0:00 view a/x", "1:00 view b/x", "2:00 view c/x", "3:00 add a", "4:00 add b")


@pytest.mark.parametrize("bought", ["9:59", "10:00"])
def test_a_purchase_within_ten_minutes_covers_the_product(bought: str) -> None:
    assert messages("0:00 add a", f"{bought} buy a") == []
    assert flags("0:00 add a", f"{bought} buy") == []


@pytest.mark.parametrize(
    "lines", [(), ("10:01 buy a",), ("10:00.000001 buy",), ("10:01 remove a",)]
)
def test_after_ten_minutes_the_cart_is_at_risk(lines: tuple[str, ...]) -> None:
    assert messages("0:00 add a", *lines) == ["10:00 cart_abandonment_risk a"]


def test_nothing_is_detected_before_the_watermark_has_passed_the_deadline() -> None:
    assert messages("0:00 add a", until="10:00") == []
    assert messages("0:00 add a", until="10:00.000001") == ["10:00 cart_abandonment_risk a"]


def test_an_addition_at_the_time_of_the_purchase_is_not_covered_by_it() -> None:
    assert messages("0:00 buy a", "0:00 add a", until="11:00") == ["10:00 cart_abandonment_risk a"]
    assert messages("0:00 add a", "0:00 buy a", until="11:00") == ["10:00 cart_abandonment_risk a"]
    again = ("0:00 add a", "5:00 add a", "5:00 buy a")
    assert messages(*again, until="16:00") == ["15:00 cart_abandonment_risk a"]


def test_a_purchase_with_items_covers_those_and_one_without_covers_all() -> None:
    added = ("0:00 add a", "1:00 add b", "2:00 add c")
    assert messages(*added, "5:00 buy b,d") == [
        "10:00 cart_abandonment_risk a",
        "12:00 cart_abandonment_risk c",
    ]
    assert messages(*added, "5:00 buy") == []
    assert messages(*added, "5:00 pay 10") == []


def test_a_removal_cancels_its_product_alone() -> None:
    assert messages("0:00 add a", "0:00 add b", "1:00 remove a") == [
        "10:00 cart_abandonment_risk b"
    ]


def test_an_episode_lasts_from_the_first_addition_until_it_is_covered_or_cancelled() -> None:
    assert messages("0:00 add a", "8:00 add a", "30:00 add a") == ["10:00 cart_abandonment_risk a"]
    for end in ("remove a", "buy a", "buy"):
        two = messages("0:00 add a", f"20:00 {end}", "30:00 add a")
        assert two == ["10:00 cart_abandonment_risk a", "40:00 cart_abandonment_risk a"]
    after_the_flag = messages("0:00 add a", "80:00 buy a", "90:00 add a")
    assert after_the_flag == ["10:00 cart_abandonment_risk a", "100:00 cart_abandonment_risk a"]
    found = folded("0:00 add a", "20:00 buy", "30:00 add a").messages
    assert found["message_id"].n_unique() == 2


def test_an_episode_is_over_after_thirty_days() -> None:
    days = 30 * 24 * 60
    assert len(messages("0:00 add a", f"{days}:00 add a")) == 1
    assert len(messages("0:00 add a", f"{days}:00.000001 add a")) == 2


def test_the_flag_ends_an_hour_after_its_detection() -> None:
    assert flags("0:00 add a") == ["10:00 cart_abandonment_risk", "70:00"]
    assert flags("0:00 add a", until="70:00") == ["10:00 cart_abandonment_risk"]
    assert flags(*COMPARED, until="65:00") == [
        "4:00 product_comparison",
        "13:00 cart_abandonment_risk",
    ]


@pytest.mark.parametrize("end", ["remove a", "buy a", "buy"])
def test_what_ends_the_episode_after_the_detection_clears_the_flag(end: str) -> None:
    assert flags("0:00 add a", f"20:00 {end}") == ["10:00 cart_abandonment_risk", "20:00"]


def test_the_flag_stays_while_another_product_is_at_risk() -> None:
    added = ("0:00 add a", "5:00 add b")
    assert flags(*added, "20:00 buy a") == ["10:00 cart_abandonment_risk", "75:00"]
    assert flags(*added, "20:00 buy b") == ["10:00 cart_abandonment_risk", "70:00"]
    assert flags(*added, "20:00 buy c") == ["10:00 cart_abandonment_risk", "75:00"]


def test_three_products_of_a_category_and_two_of_them_in_the_cart_are_compared() -> None:
    assert messages(*COMPARED, until="10:00") == ["4:00 product_comparison a,b"]
    third_view = ("0:00 view a/x", "0:00 view b/x", "1:00 add b", "1:01 add a", "2:00 view c/x")
    assert messages(*third_view, until="10:00") == ["2:00 product_comparison b,a"]


@pytest.mark.parametrize(
    "lines",
    [
        ("0:00 view a/x", "1:00 view b/x", "2:00 view b/x", "3:00 add a", "4:00 add b"),
        (*COMPARED[:4], "4:00 add a"),
        (*COMPARED[:4], "4:00 add d"),
        (*COMPARED[:2], "1:30 view z/y", *COMPARED[2:]),
        (*COMPARED[:4], "3:30 view z/y", "4:00 add b"),
    ],
    ids=["two products", "one in the cart", "another one", "broken", "broken before the cart"],
)
def test_less_than_that_is_no_comparison(lines: tuple[str, ...]) -> None:
    assert messages(*lines, until="10:00") == []


def test_other_events_and_views_without_a_category_do_not_break_a_run() -> None:
    between = ("0:30 view z", "0:40 click", "0:50 buy", "1:10 remove a", "1:20 from 10.0.0.1")
    lines = (COMPARED[0], *between, *COMPARED[1:])
    assert messages(*lines, until="10:00") == ["4:00 product_comparison a,b"]


def test_an_addition_counts_at_or_after_the_view_of_its_product() -> None:
    views = ("1:00 view a/x", "1:00 view b/x", "1:00 view c/x")
    assert messages("0:59 add a", *views, "2:00 add b", until="5:00") == []
    at_once = messages("1:00 add a", *views, "2:00 add b", until="5:00")
    assert at_once == ["2:00 product_comparison a,b"]


def test_a_run_is_told_once_and_a_new_run_again() -> None:
    more = (
        "5:00 add c",
        "5:10 view d/x",
        "5:20 view e/x",
        "5:30 view f/x",
        "5:40 add d",
        "5:50 add e",
    )
    assert len(messages(*COMPARED, *more, until="10:00")) == 1
    again = ("6:00 view z/y", "7:00 view a/x", "7:01 view b/x", "7:02 view c/x", "7:03 add a")
    found = messages(*COMPARED, *more, *again, "7:04 add c", until="10:00")
    assert found == ["4:00 product_comparison a,b", "7:04 product_comparison a,c"]


def test_what_was_put_into_the_cart_in_one_run_does_not_count_in_the_next() -> None:
    lines = ("0:00 view a/x", "0:01 add a", "1:00 view b/y", "2:00 view c/y", "3:00 view d/y")
    assert messages(*lines, "4:00 add b", until="5:00") == []
    assert messages(*lines, "4:00 add b", "4:01 add c", until="5:00") == [
        "4:01 product_comparison b,c"
    ]


@pytest.mark.parametrize(("late", "told"), [("00", True), ("00.000001", False)])
def test_an_addition_counts_until_its_run_is_over(late: str, told: bool) -> None:
    found = messages(*COMPARED[:4], f"43202:{late} add b")
    assert any("product_comparison" in one for one in found) is told


def test_a_run_is_over_after_thirty_days_without_a_view() -> None:
    days = 30 * 24 * 60
    views = ("0:00 view a/x", "0:00 view b/x")
    for late, told in (("00", True), ("00.000001", False)):
        lines = (*views, "0:01 add a", f"{days}:{late} view c/x", f"{days}:01 add c")
        found = [one for one in messages(*lines) if "product_comparison" in one]
        assert bool(found) is told


def test_neither_a_purchase_nor_a_removal_clears_a_comparison() -> None:
    assert flags(*COMPARED, "5:00 buy") == ["4:00 product_comparison", "64:00"]
    assert flags(*COMPARED, "5:00 remove a", "5:00 remove b") == [
        "4:00 product_comparison",
        "64:00",
    ]


def test_the_newest_active_pattern_is_shown_and_the_older_one_when_it_is_cleared() -> None:
    assert flags(*COMPARED, "20:00 buy") == [
        "4:00 product_comparison",
        "13:00 cart_abandonment_risk",
        "20:00 product_comparison",
        "64:00",
    ]


def test_of_several_changes_at_a_time_the_ids_sort_in_their_order() -> None:
    views = ("20:00 view a/x", "20:00 view b/x", "20:00 view c/x")
    lines = ("0:00 add z", "20:00 buy", *views, "20:00 add a", "20:00 add b")
    assert flags(*lines, until="21:00") == [
        "10:00 cart_abandonment_risk",
        "20:00",
        "20:00 product_comparison",
    ]


def test_message_ids_are_those_of_what_happened_not_of_how_it_was_cut() -> None:
    lines = (*COMPARED, "20:00 buy", "30:00 add a")
    events, whole = relevant(frame(log(*lines))), folded(*lines, until="41:00").messages
    first = fold({}, events.filter(events["event_at"] < at("4:00")), at("4:00"))
    known = {user: memory.machines for user, memory in first.memories.items()}
    second = fold(known, events.filter(events["event_at"] >= at("4:00")), at("41:00"))
    assert first.messages.is_empty()
    assert second.messages.equals(whole)
    assert whole["message_id"].n_unique() == whole.height == 4


def test_only_so_many_open_products_are_remembered_and_it_is_counted() -> None:
    added = [f"0:{number / 100:.2f} add p{number}" for number in range(MOST + 2)]
    found = folded(*added)
    assert len(found.capped) == 2
    assert found.messages.height == MOST
    assert "p1" not in found.messages["product_ids"].list.first().to_list()


def test_only_so_many_products_of_a_run_are_remembered_and_it_is_counted() -> None:
    views = [f"0:{number / 100:.2f} view p{number}/x" for number in range(MOST + 2)]
    assert messages(*views, "1:00 add p0", "1:01 add p1", until="5:00") == []
    found = folded(*views, "1:00 add p2", "1:01 add p3", until="5:00")
    assert (len(found.capped), found.messages.height) == (2, 1)


def test_a_user_of_whom_nothing_is_left_to_say_is_forgotten() -> None:
    def days(number: int, *lines: str) -> list[str]:
        return list(folded(*lines, until=f"{number * 24 * 60}:00").memories)

    for lines in (("0:00 add a",), COMPARED, ("0:00 from 10.0.0.1",), ("0:00 view a/x",)):
        assert days(29, *lines) == ["u"]
        assert days(31, *lines) == []
    assert days(1, "0:00 click") == []
    assert days(1, "0:00 add a", "0:01 buy a") == []
    assert days(99, "0:00 pay 1") == ["u"]


@pytest.mark.parametrize(
    ("before", "last"),
    [
        (("0:00 from 10.0.0.1", "43190:00 from 10.0.0.2"), ("from 10.0.0.1",)),
        (("0:00 view a/x", "0:00 view b/x", "0:01 add a"), ("view c/x", "add c")),
        (("0:00 add a",), ("add a",)),
    ],
    ids=["ip", "run", "episode"],
)
def test_what_is_remembered_for_thirty_days_is_so_to_their_end(
    before: tuple[str, ...], last: tuple[str, ...]
) -> None:
    """The watermark comes to the very end before the events do."""
    end = "43200:00"
    lines = (*before, *(f"{end} {what}" for what in last))
    events, whole = relevant(frame(log(*lines))), folded(*lines, until="43201:00")
    first = fold({}, events.filter(events["event_at"] < at(end)), at(end))
    known = {user: memory.machines for user, memory in first.memories.items()}
    second = fold(known, events.filter(events["event_at"] >= at(end)), at("43201:00"))
    for name in ("messages", "alerts"):
        parts = [getattr(first, name), getattr(second, name)]
        assert pl.concat(parts).equals(getattr(whole, name))


def test_every_rule_has_a_name_a_topic_and_a_sentence() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 5
    assert {rule.topic for rule in RULES} == {"alerts", "retargeting"}
    assert all(rule.doc.endswith(".") for rule in RULES)
