"""The monitor of the gates: each failure is told once, and once more when it passes again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_slack import Slack, slack

from infra import quality_monitor
from infra.cli import main
from infra.errors import GateFailed, ServiceError
from infra.quality_monitor import Monitored, monitor
from infra.settings import Settings

DAY = date(2026, 3, 5)


@pytest.fixture
def receiver() -> Iterator[Slack]:
    with slack() as fake:
        yield fake


class Gates:
    """A gate in which some expectations fail, one run after the other."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.days = home, []
        self.fails: tuple[str, ...] | None = ()
        monkeypatch.setattr(quality_monitor, "run_suite", self._run)
        monkeypatch.setattr(quality_monitor, "_newest", lambda *_: DAY)

    def _run(self, *, settings: Settings, run_date: date, **_: Any) -> None:
        assert settings.slack_webhook is None, "the gate tells nothing itself"
        self.days.append(run_date)
        if self.fails is None:
            raise ServiceError("PostgreSQL does not answer.")
        one = {"table": "t", "column": "c", "checked": 9, "failed": 2, "severity": "stop"}
        found = [{**one, "check": check, "passed": False} for check in self.fails]
        warns = {**one, "check": "mean", "passed": False, "severity": "warn"}
        if found:
            raise GateFailed("It fails.", {"expectations": [*found, warns]})

    def __call__(
        self, webhook: Slack, *fails: str, away: bool = False, day: date | None = None
    ) -> Monitored | None:
        self.fails = None if away else fails
        settings = Settings(home=self.home, slack_webhook=webhook.webhook)
        if not (fails or away):
            return monitor(settings, suite="raw", run_date=day)
        with pytest.raises((GateFailed, ServiceError)) as failure:
            monitor(settings, suite="raw", run_date=day)
        assert failure.value.is_told
        return None


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gates:
    (tmp_path / "quality" / "raw").mkdir(parents=True)
    return Gates(tmp_path, monkeypatch)


def said(receiver: Slack) -> list[str]:
    return [body["blocks"][0]["text"]["text"].split("\n")[1] for body in receiver.bodies]


def test_each_failure_is_told_once_and_once_when_it_is_over(gates: Gates, receiver: Slack) -> None:
    found = [gates(receiver, *fails) for fails in ((), ("a",), ("a",), ("a", "b"), ("b",), (), ())]
    assert said(receiver) == [
        "Of 2026-03-05: t:c.a (2 of 9)",
        "Of 2026-03-05: t:c.b (2 of 9)",
        "Fine again: t:c.a.",
        "Fine again: t:c.b.",
    ]
    assert [one.ended if one else "failed" for one in found] == [
        (),
        *["failed"] * 4,
        ("t:c.b",),
        (),
    ]


def test_many_that_begin_at_once_are_one_message(gates: Gates, receiver: Slack) -> None:
    gates(receiver, *"abcdefg")
    assert receiver.titles == ["Gate raw fails"]
    assert said(receiver)[0].endswith("t:c.e (2 of 9) and 2 more")


def test_while_postgresql_is_away_nothing_ends_and_it_is_told_once(
    gates: Gates, receiver: Slack
) -> None:
    gates(receiver, "a")
    for _ in range(2):
        gates(receiver, away=True)
    gates(receiver, "a")
    assert said(receiver)[1:] == ["PostgreSQL does not answer.", "Fine again: PostgreSQL."]


def test_what_slack_did_not_take_is_told_the_next_time(gates: Gates, receiver: Slack) -> None:
    with slack((404, {}, 0)) as refusing:
        gates(refusing, "a")
    gates(receiver, "a")
    assert receiver.titles == ["Gate raw fails"]


def test_a_day_that_is_asked_for_is_looked_at(gates: Gates, receiver: Slack) -> None:
    gates(receiver)
    gates(receiver, day=date(2026, 1, 1))
    assert gates.days == [DAY, date(2026, 1, 1)]


def test_before_anything_was_loaded_there_is_nothing_to_look_at(
    gates: Gates, receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_monitor, "_newest", lambda *_: None)
    assert gates(receiver) == Monitored(suite="raw", run_date=None)
    assert gates.days == []


def test_the_command_ends_with_1_while_a_gate_fails(
    gates: Gates, receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(gates.home))
    monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", receiver.url)
    fine = CliRunner().invoke(main, ["quality", "monitor"])
    assert (fine.exit_code, fine.stdout.count("passes")) == (0, 2)
    gates.fails = ("a",)
    bad = CliRunner().invoke(main, ["quality", "monitor"])
    assert bad.exit_code == 1
    assert bad.stderr.count("It fails.") == 2
    assert receiver.titles == ["Gate raw fails", "Gate features fails"]
