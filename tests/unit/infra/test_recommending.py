"""Who ranks for whom, as the settings say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra.cli import main
from infra.errors import SettingsError
from infra.recommending import arms_of
from infra.settings import Settings

MODEL = {
    "format": 1,
    "name": "cart",
    "version": "3",
    "domain": "commerce",
    "kind": "logistic_regression",
    "features": [{"name": "popularity"}],
    "weights": [1.0],
    "intercept": 0.0,
}
USERS = [f"u{n}" for n in range(1_000)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return path


def settings(**more: Any) -> Settings:
    return Settings(home=Path("nowhere"), **more)


def test_without_a_model_rules_rank_for_all() -> None:
    arms = arms_of(settings(ranker_model=None))
    assert {(arms.of(user).name, arms.of(user).ranker) for user in USERS} == {("rules", None)}


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.3, 250, 350), (1, 1000, 1000)])
def test_a_model_ranks_for_its_share(model: Path, share: float, least: int, most: int) -> None:
    arms = arms_of(settings(ranker_model=model, ranker_model_share=share))
    tried = [arm for user in USERS if (arm := arms.of(user)).name == "model"]
    assert least <= len(tried) <= most
    assert all(arm.ranker and arm.ranker.label.version == "3" for arm in tried)


def test_what_is_no_model_is_named_in_a_sentence(model: Path) -> None:
    model.write_text("{}")
    with pytest.raises(SettingsError, match=r"ranker_model cannot be used.*model\.json"):
        arms_of(settings(ranker_model=model))


def test_the_api_does_not_start_with_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.write_text("no model")
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("USERFLOW_RANKER_MODEL", str(model))
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 1
    assert "model.json cannot be used" in result.output
    assert "Traceback" not in result.output
