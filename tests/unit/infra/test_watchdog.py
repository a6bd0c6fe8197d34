"""Troubles of streams: what is one, that each is told once, and once more when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_slack import Slack, slack

from infra import watchdog
from infra.settings import Settings
from infra.watchdog import JobSeen, Limits, Seen, Watched, troubles, watch

LIMITS = Limits(lag=1000, silence_s=300, restarts=3)
CALM = {"age_s": 1.0, "lag": 0, "restarts": 0, "is_alive": True}


def job(**changed: object) -> JobSeen:
    return JobSeen(job="webtoon", **(CALM | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "keys"),
    [
        (job(), []),
        (job(lag=1000), []),
        (job(lag=1001), ["webtoon/lag"]),
        # Nothing to read: then no epoch runs, however long.
        (job(age_s=9999.0, is_alive=False), []),
        (job(lag=1, age_s=300.0), []),
        (job(lag=1, age_s=300.1), ["webtoon/silent"]),
        (job(lag=1001, age_s=301.0), ["webtoon/lag", "webtoon/silent"]),
        (job(restarts=2), []),
        (job(restarts=3), ["webtoon/restarts"]),
    ],
)
def test_what_is_a_trouble(seen: JobSeen, keys: list[str]) -> None:
    assert [one.key for one in troubles(Seen([seen]), LIMITS)] == keys


def test_a_silent_stream_is_told_with_whether_it_runs() -> None:
    for is_alive, said in ((True, "A process runs it"), (False, "No process of this home")):
        seen = Seen([job(lag=1, age_s=301.0, is_alive=is_alive)])
        (trouble,) = troubles(seen, LIMITS)
        assert said in trouble.what


@pytest.fixture
def receiver() -> Iterator[Slack]:
    with slack() as fake:
        yield fake


class Looks:
    """What the watchdog sees, one look after the other."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home, self._patch = home, monkeypatch

    def __call__(self, seen: Seen, webhook: Slack) -> Watched:
        self._patch.setattr(watchdog, "look", lambda _: seen)
        return watch(Settings(home=self._home, slack_webhook=webhook.webhook, watchdog_lag=1000))


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(tmp_path, monkeypatch)


BEHIND = Seen([job(lag=5000)])
FINE = Seen([job()])
AWAY = Seen([], ["PostgreSQL"])


def test_each_trouble_is_told_once_and_once_when_it_is_over(look: Looks, receiver: Slack) -> None:
    found = [look(seen, receiver) for seen in (FINE, BEHIND, BEHIND, FINE, FINE, BEHIND)]
    assert receiver.titles == [
        "Stream webtoon lags behind",
        "Over: Stream webtoon lags behind",
        "Stream webtoon lags behind",
    ]
    assert [one.began for one in found] == [(), ("webtoon/lag",), (), (), (), ("webtoon/lag",)]
    assert [one.ended for one in found] == [(), (), (), ("webtoon/lag",), (), ()]


def test_nothing_ends_while_a_service_is_away(look: Looks, receiver: Slack) -> None:
    for seen in (BEHIND, AWAY, AWAY, BEHIND, FINE):
        look(seen, receiver)
    assert receiver.titles == [
        "Stream webtoon lags behind",
        "PostgreSQL does not answer",
        "Over: PostgreSQL does not answer",
        "Over: Stream webtoon lags behind",
    ]


def test_what_slack_did_not_take_is_told_the_next_time(look: Looks, receiver: Slack) -> None:
    with slack((404, {}, 0)) as refusing:
        look(BEHIND, refusing)
    look(BEHIND, receiver)
    assert receiver.titles == ["Stream webtoon lags behind"]
    with slack((404, {}, 0)) as refusing:
        look(FINE, refusing)
    look(FINE, receiver)
    assert receiver.titles[1:] == ["Over: Stream webtoon lags behind"]
