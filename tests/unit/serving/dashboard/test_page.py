"""The page as Streamlit runs it: every panel, whatever is known and whatever is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pytest
from dashboard_frames import NOW, alerts, groups, products, seen, sessions, stored
from streamlit.testing.v1 import AppTest

from serving.dashboard import running, server
from serving.dashboard.board import Seen
from serving.dashboard.poller import Reading
from serving.dashboard.stored import RATES, SOURCES, Progress
from serving.dashboard.streams import Freshness


@dataclass
class FakeBoard:
    seen: Seen

    def look(self) -> Seen:
        return self.seen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    fake = FakeBoard(seen())
    monkeypatch.setattr(running, "_boards", [fake])
    return fake


def shown(fake: FakeBoard, now: Seen) -> AppTest:
    fake.seen = now
    page = AppTest.from_file(str(server.SCRIPT), default_timeout=20).run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*page.markdown, *page.warning, *page.caption))


def progress() -> Progress:
    return Progress(
        job="commerce",
        epoch=7,
        committed_at=NOW - timedelta(seconds=3),
        watermark=None,
        rows_in=1234,
        rejected=5,
        offsets={"user-events/0": 40},
    )


TITLES = [
    "Sessions of the last hour",
    "Top 10 products",
    "Completion and exit by genre",
    "Completion and exit by country",
    "A/B comparison",
    "Freshness and lag",
    "Recent alerts",
]


def test_an_empty_stack_has_every_panel_and_says_what_to_run(fake: FakeBoard) -> None:
    page = shown(fake, seen(stored=Reading(value=stored(), at=NOW.timestamp())))
    assert [one.value for one in page.subheader] == TITLES
    assert [one.label for one in page.metric] == [
        "Active sessions, 5 min",
        "Conversion rate, 1 h",
        "Average session, 1 h",
        "Alerts, 1 h",
    ]
    assert [one.value for one in page.metric] == ["0", "—", "—", "0"]
    said = texts(page)
    assert "`userflow produce --domain commerce`" in said
    assert "`userflow produce --domain webtoon`" in said
    assert "`userflow stream --jobs webtoon,commerce`" in said
    assert "Updated 2026-11-30 12:00:00 UTC" in said
    assert not page.warning


def test_with_rows_there_is_something_in_every_panel(fake: FakeBoard) -> None:
    by = pl.DataFrame([("한국", 90, 0.6, 0.2)], schema=RATES, orient="row")
    tests = dict.fromkeys(("1h", "24h", "7d"), groups(("A", "3.0", 90, 0.3), ("B", "3.0", 80, 0.2)))
    known = stored(
        by_genre=by,
        by_country=by,
        reading_tests=tests,
        sales_tests=tests,
        progress=[progress()],
    )
    page = shown(
        fake,
        seen(
            sessions=sessions((3, 1, 4, True), (70, 65, 2, False)),
            products=products(p=3),
            alerts=alerts(1),
            stored=Reading(value=known),
            ends=Reading(value={"user-events/0": 50}),
            freshness=Reading(value={"commerce": Freshness(0.25, 1.5)}),
        ),
    )
    assert [one.value for one in page.metric] == ["1", "100.0%", "2.0 min", "1"]
    assert [one.delta for one in page.metric] == ["1", "100.0 points", "-3.0 min", "1"]
    (row,) = page.table[0].value.to_dict("records")
    assert row["event → readable, p50"] == "250 ms"
    assert row["lag, records"] == "10"
    assert len(page.dataframe) == 3
    assert "hourglass" not in texts(page)


def test_a_store_that_is_away_is_told_with_how_old_is_what_is_shown(fake: FakeBoard) -> None:
    ago = (NOW - timedelta(minutes=4)).timestamp()
    page = shown(
        fake, seen(topics="Kafka away.", stored=Reading(value=stored(), at=ago, problem="Gone."))
    )
    assert [one.value for one in page.warning] == [
        "Gone. What is shown of it is from 4 min ago.",
        "Kafka away.",
    ]


def test_nothing_known_is_no_zero(fake: FakeBoard) -> None:
    page = shown(fake, seen(topics="Kafka away.", stored=Reading(problem="Gone.")))
    assert [one.value for one in page.metric] == ["—"] * 4
    assert "Not known while PostgreSQL does not answer." in texts(page)
    assert "Not known while Kafka does not answer." in texts(page)
    assert "userflow produce" not in texts(page)


def test_before_anything_was_read_nobody_is_blamed(fake: FakeBoard) -> None:
    page = shown(fake, seen())
    assert "One moment" in texts(page)
    assert "does not answer" not in texts(page)
    assert not page.warning


def test_a_degraded_source_is_named_with_its_reason(fake: FakeBoard) -> None:
    source = {
        "topic": "user-events",
        "since": NOW - timedelta(minutes=5),
        "seen": 500,
        "share": 0.4,
        "reason": "wrong_type",
    }
    progress = [
        Progress(
            job="commerce",
            epoch=1,
            committed_at=NOW,
            watermark=NOW,
            rows_in=1,
            rejected=0,
            offsets={},
        )
    ]
    known = stored(degraded=pl.DataFrame([source], schema=SOURCES), progress=progress)
    page = shown(fake, seen(stored=Reading(value=known)))
    (warning,) = page.warning
    assert "**user-events** is degraded since 5 min ago: 40.0% of 500 events" in warning.value
    assert "`wrong_type`" in warning.value


def test_the_newest_session_is_told_when_the_windows_are_empty(fake: FakeBoard) -> None:
    page = shown(fake, seen(sessions=sessions((200, 190, 1, False))))
    assert "No session in the last hour; the newest is from 3 h ago." in texts(page)
