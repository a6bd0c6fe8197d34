"""Commands while the services are away, or were never there: one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.cli import main
from infra.endpoints import Endpoints

DAY = "2026-03-05"
COMMANDS = {
    "load-raw": ("load-raw", "--date", DAY),
    "load-raw --archive": ("load-raw", "--date", DAY, "--archive"),
    "marts": ("marts", "--date", DAY),
    "publish": ("publish", "--date", DAY),
    "daily": ("daily", "--date", DAY),
    "maintain": ("maintain", "--date", DAY),
    "get": ("get", "user_features_daily", "u1"),
    "keys list": ("keys", "list"),
    "keys create": ("keys", "create", "--scopes", "read"),
    "keys revoke": ("keys", "revoke", "0a1b2c3d"),
    **{
        f"quality {suite}": ("quality", "run", "--suite", suite, "--date", DAY)
        for suite in ("raw", "features", "marts")
    },
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    landed = tmp_path / "landing" / DAY / "user-events.jsonl"
    landed.parent.mkdir(parents=True)
    landed.write_text('{"event_type": "search"}\n', encoding="utf-8")
    return tmp_path


def failed(*words: str) -> str:
    """What the command says as it fails."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    return done.stderr


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_without_postgresql_a_command_says_so_in_one_sentence(
    home: Path, words: tuple[str, ...]
) -> None:
    nobody = "127.0.0.1:1"
    Endpoints(
        kafka=nobody,
        postgres=f"postgresql://userflow:hush@{nobody}/userflow",
        redis=f"redis://:hush@{nobody}",
        lake=str(home / "lake"),
    ).write(home)
    said = failed(*words)
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "PostgreSQL" in said or "raw.events" in said
    assert "userflow status" in said or "again when it does" in said
    assert "hush" not in said


@pytest.mark.parametrize("words", [*COMMANDS.values(), ("watchdog",)], ids=[*COMMANDS, "watchdog"])
def test_before_the_first_start_a_command_says_what_to_run(
    home: Path, words: tuple[str, ...]
) -> None:
    said = failed(*words)
    assert "run `userflow up` first" in said
    assert said.count("\n") == 1


def test_the_watchdog_tells_who_is_away(home: Path) -> None:
    nobody = "127.0.0.1:1"
    away = f"postgresql://{nobody}/userflow"
    Endpoints(kafka=nobody, postgres=away, redis=f"redis://{nobody}", lake="lake").write(home)
    done = CliRunner().invoke(main, ["watchdog"])
    assert done.exit_code == 1
    assert "troubles: PostgreSQL" in done.stdout
