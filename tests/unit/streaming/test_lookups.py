"""Device and place: what a user agent and an address say, by the real libraries."""

from __future__ import annotations

from pathlib import Path

import maxminddb
import pytest

from infra.daily_jobs import _places
from infra.errors import SettingsError
from infra.geo_database import write_places
from infra.settings import Settings
from producer.population import profile
from streaming.batch.lookups import BUNDLED, by_database, by_user_agent

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"  # noqa: E501
PAD = PHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS")
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
ANDROID = f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (PHONE, ("Mobile Safari", "mobile", "iOS")),
        (PAD, ("Mobile Safari", "tablet", "iOS")),
        (ANDROID, ("Chrome Mobile", "mobile", "Android")),
        (ANDROID.replace(" Mobile", ""), ("Chrome", "tablet", "Android")),
        (WINDOWS, ("Chrome", "desktop", "Windows")),
        ("", None),
        ("웹툰 앱", None),
    ],
)
def test_a_user_agent_says_browser_device_and_system(
    agent: str, device: tuple[str, str, str] | None
) -> None:
    assert by_user_agent(agent) == device


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", ("KR", "Seoul", 37.57, 126.98)),
        ("203.0.113.255", ("DE", "Munich", 48.14, 11.58)),
        ("2001:db8:102::1", ("KR", "Daegu", 35.87, 128.6)),
        ("198.18.0.1", None),
        ("2001:db9::1", None),
        ("not an address", None),
        ("", None),
    ],
)
def test_an_address_says_country_city_and_coordinates(
    address: str, place: tuple[object, ...] | None
) -> None:
    assert by_database(BUNDLED)(address) == place


def test_every_simulated_user_sits_where_the_bundled_database_says() -> None:
    lookup = by_database(BUNDLED)
    for user in map(profile, range(500)):
        place = lookup(user.ip)
        assert place is not None
        assert place[0] == user.country


def test_the_bundled_database_is_the_generated_one(tmp_path: Path) -> None:
    write_places(tmp_path / "places.mmdb")
    bundled, made = contents(BUNDLED), contents(tmp_path / "places.mmdb")
    assert bundled == made, "run: python -m infra.geo_database"
    assert len(bundled) == 48


def contents(file: Path) -> dict[str, object]:
    with maxminddb.open_database(file) as database:
        return {str(network): document for network, document in database}


@pytest.mark.parametrize("content", [None, b"no database"])
def test_a_database_that_is_none_is_named_before_anything_runs(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "cities.mmdb"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"cities\.mmdb cannot be read .*geoip_database"):
        _places(Settings(home=tmp_path, geoip_database=file))
