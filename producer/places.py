"""Where simulated users sit: cities, and addresses that belong to nobody.

The networks are those that are reserved for documentation, so no simulated address is anybody's.
`infra/geo_database.py` writes them down as the database of places that the daily jobs come with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from random import Random

__all__ = ["CITIES", "City", "address", "networks"]

Network = IPv4Network | IPv6Network
# Each country has 32 addresses of each of them, for one city each, ...
DOCUMENTATION = ("192.0.2", "198.51.100", "203.0.113")
# and a network of 2001:db8::/32 for each city.
IPV6_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class City:
    """A city and its centre, in degrees."""

    name: str
    latitude: float
    longitude: float


CITIES: Mapping[str, tuple[City, City, City]] = {
    "KR": (
        City("Seoul", 37.57, 126.98),
        City("Busan", 35.18, 129.08),
        City("Daegu", 35.87, 128.6),
    ),
    "JP": (
        City("Tokyo", 35.68, 139.69),
        City("Osaka", 34.69, 135.5),
        City("Sapporo", 43.06, 141.35),
    ),
    "US": (
        City("New York", 40.71, -74.01),
        City("Los Angeles", 34.05, -118.24),
        City("Chicago", 41.88, -87.63),
    ),
    "TW": (
        City("Taipei", 25.03, 121.57),
        City("Taichung", 24.15, 120.67),
        City("Kaohsiung", 22.62, 120.31),
    ),
    "TH": (
        City("Bangkok", 13.76, 100.5),
        City("Chiang Mai", 18.79, 98.98),
        City("Khon Kaen", 16.44, 102.84),
    ),
    "ID": (
        City("Jakarta", -6.21, 106.85),
        City("Surabaya", -7.26, 112.75),
        City("Bandung", -6.92, 107.61),
    ),
    "FR": (
        City("Paris", 48.86, 2.35),
        City("Lyon", 45.76, 4.84),
        City("Marseille", 43.3, 5.37),
    ),
    "DE": (
        City("Berlin", 52.52, 13.4),
        City("Hamburg", 53.55, 9.99),
        City("Munich", 48.14, 11.58),
    ),
}
PLACES: Mapping[str, int] = {country: place for place, country in enumerate(CITIES)}


def networks() -> Iterator[tuple[Network, str, City]]:
    """Every network with its country and city."""
    for country, cities in CITIES.items():
        for number, city in enumerate(cities):
            yield IPv4Network(f"{DOCUMENTATION[number]}.{32 * PLACES[country]}/27"), country, city
            yield IPv6Network(f"2001:db8:{_sixth(country, number)}::/48"), country, city


def address(country: str, rng: Random) -> str:
    """An address in one of the country's cities."""
    number = rng.randrange(len(DOCUMENTATION))
    if rng.random() < IPV6_SHARE:
        return f"2001:db8:{_sixth(country, number)}::{rng.randrange(1, 0xFFFF):x}"
    return f"{DOCUMENTATION[number]}.{32 * PLACES[country] + rng.randrange(1, 31)}"


def _sixth(country: str, number: int) -> str:
    return f"{0x100 * (PLACES[country] + 1) + number:x}"
