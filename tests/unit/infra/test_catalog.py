"""Names of the daily tables: registered once, where there is a catalog to register them in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import catalog
from infra.endpoints import Endpoints
from infra.errors import DailyJobFailed
from infra.settings import Settings


class Catalog:
    """Registers in a home; knows which processes were started for it, and ends them with `code`."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.homes, self.code = home, [], 0
        self._patch = monkeypatch
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, _: Any, *, env: dict[str, str], **__: Any) -> SimpleNamespace:
        self.homes.append(env["USERFLOW_HOME"])
        return SimpleNamespace(returncode=self.code)

    def __call__(self, known: set[str], there: set[str]) -> None:
        self._patch.setattr(catalog, "_registered", lambda _: known)
        self._patch.setattr(catalog, "_computed", lambda _: dict.fromkeys(there, "path"))
        nowhere = Endpoints(kafka="", postgres="", redis="", lake="lake")
        catalog.register_computed(Settings(home=self.home), nowhere)


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    return Catalog(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("known", "there", "starts"),
    [
        (set(), {"user_segments"}, 0),  # `userflow init` makes the catalog, and finds them then
        ({"user_events"}, set(), 0),
        ({"user_events", "user_segments"}, {"user_segments"}, 0),
        ({"user_events"}, {"user_segments"}, 1),
    ],
)
def test_a_process_is_started_only_for_a_name_that_is_missing(
    register: Catalog, known: set[str], there: set[str], starts: int
) -> None:
    register(known, there)
    assert register.homes == [str(register.home)] * starts


def test_a_name_that_cannot_be_registered_is_told(register: Catalog) -> None:
    register.code = 1
    with pytest.raises(DailyJobFailed, match="run `userflow init`"):
        register({"user_events"}, {"user_segments"})
