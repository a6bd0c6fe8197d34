"""Settings come from the environment, then the file; mistakes get one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.settings import load_settings
from infra.settings_docs import DOCS_FILE, settings_page


@pytest.fixture(autouse=True)
def _in_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "LAKE", "KAFKA", "KAFKA_PORT", "LOG_LEVEL"):
        monkeypatch.delenv(f"USERFLOW_{name}", raising=False)


def test_the_home_is_absolute_and_holds_the_lake(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / ".userflow"
    assert settings.lake_root == str(tmp_path / ".userflow" / "lake")


def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "userflow.toml").write_text('kafka_port = 9001\nlake = "s3a://bucket/lake"\n')
    monkeypatch.setenv("USERFLOW_KAFKA_PORT", "9002")
    settings = load_settings()
    assert settings.kafka_port == 9002
    assert settings.lake_root == "s3a://bucket/lake"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("kafka_port = 70000", "Setting kafka_port cannot be used"),
        ('log_level = "LOUD"', "Setting log_level cannot be used"),
        ("kafka_prot = 9001", "Setting kafka_prot cannot be used"),
        ('slack_webhook = "hooks.slack.com/s"', "Setting slack_webhook cannot be used"),
        ("breach_share = 20", "Setting breach_share cannot be used"),
        ("kafka_port = ", "userflow.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_named_in_one_sentence(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "userflow.toml").write_text(toml)
    with pytest.raises(SettingsError, match=says):
        load_settings()


def test_a_message_never_shows_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERFLOW_KAFKA_PORT", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_the_webhook_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", "https://hooks.slack.com/services/hunter2")
    settings = load_settings()
    assert settings.slack_webhook is not None
    assert settings.slack_webhook.get_secret_value().endswith("hunter2")
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_the_documented_table_is_the_generated_one() -> None:
    assert DOCS_FILE.read_text(encoding="utf-8") == settings_page(), (
        "docs/settings.md is out of date: run python -m infra.settings_docs"
    )
