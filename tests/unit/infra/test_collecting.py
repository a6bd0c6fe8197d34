"""What the settings say of the collector."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from stacks import settings_for

from infra.collecting import collector_of, cors_origins
from serving.collector.collector import Collector
from serving.collector.log import MemoryEventLog
from serving.metrics.values import Metrics

ADDRESS = "203.0.113.77"


def collector(home: Path, **chosen: Any) -> Collector:
    settings = settings_for(home).model_validate({**settings_for(home).model_dump(), **chosen})
    return collector_of(settings, MemoryEventLog(), Metrics())


def kept(home: Path, **chosen: Any) -> str | None:
    return collector(home, **chosen)._kept_address(ADDRESS)


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        (" https://a.example/, http://b.example:8080 ,", ("https://a.example", "http://b.example:8080")),
    ],
)  # fmt: skip
def test_origins_stand_between_commas(tmp_path: Path, given: str, origins: tuple[str, ...]) -> None:
    settings = settings_for(tmp_path).model_copy(update={"api_cors_origins": given})
    assert cors_origins(settings) == origins


def test_an_address_is_truncated_unless_something_else_is_set(tmp_path: Path) -> None:
    assert kept(tmp_path) == "203.0.113.0"
    assert kept(tmp_path, collector_ip="full") == ADDRESS


def test_a_salt_is_made_once_and_kept_for_the_owner(tmp_path: Path) -> None:
    first = kept(tmp_path, collector_ip="hashed")
    assert kept(tmp_path, collector_ip="hashed") == first
    assert kept(tmp_path / "another", collector_ip="hashed") != first
    file = tmp_path / "services" / "collector.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_salt_that_is_set_makes_homes_agree(tmp_path: Path) -> None:
    given = {"collector_ip": "hashed", "collector_ip_salt": "pepper"}
    assert kept(tmp_path, **given) == kept(tmp_path / "another", **given)
    assert not (tmp_path / "services").exists()
