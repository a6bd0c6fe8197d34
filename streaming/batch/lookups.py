"""What a user agent and an address say of device and place.

Two small ports, so that a test or a cluster brings its own. Both are asked once for each distinct
value of a batch of rows, and an answer that cannot be given is null, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.pandas.functions import pandas_udf

__all__ = [
    "BUNDLED",
    "DEVICE",
    "PLACE",
    "Lookup",
    "Lookups",
    "by_database",
    "by_user_agent",
    "looked_up",
]

# One text -> one value for each field of the struct; None where nothing is known.
Lookup = Callable[[str], tuple[object, ...] | None]
DEVICE = "struct<browser: string, device_type: string, os: string>"
PLACE = "struct<country: string, city: string, latitude: double, longitude: double>"
TABLETS = ("iPad", "Kindle", "Tablet")
# Knows the simulator's addresses (infra/geo_database.py).
BUNDLED = Path(__file__).with_name("places.mmdb")
PHONES = ("iOS", "Android", "Windows Phone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """`device`: of a user agent (`DEVICE`). `place`: of an ip address (`PLACE`)."""

    device: Lookup
    place: Lookup


def looked_up(lookup: Lookup, of: Column, struct: str) -> Column:
    """The struct for each value of a text column, null where there is none."""
    columns = [field.split(":")[0].strip() for field in struct[7:-1].split(",")]

    def look_up(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for texts in batches:
            known = {text: lookup(text) for text in texts.dropna().unique()}
            nothing = (None,) * len(columns)
            rows = [known.get(text) or nothing for text in texts]
            yield pd.DataFrame(rows, columns=columns)

    found: Column = pandas_udf(struct)(look_up)(of)  # type: ignore[call-overload]
    return F.when(of.isNotNull(), found)


def by_user_agent(text: str) -> tuple[object, ...] | None:
    """Browser, device type and system, as uap-core's rules find them."""
    from ua_parser import parse  # noqa: PLC0415 - a second of rules, for the workers alone

    found = parse(text)
    system = found.os.family if found.os else None
    family = found.device.family if found.device else ""
    browser = found.user_agent.family if found.user_agent else None
    if browser is None and system is None:
        return None
    return (browser, _device_type(text, family, system), system)


def _device_type(text: str, family: str, system: str | None) -> str:
    is_android_tablet = system == "Android" and "Mobile" not in text
    if is_android_tablet or any(word in family for word in TABLETS):
        return "tablet"
    return "mobile" if system in PHONES else "desktop"


@dataclass(frozen=True, slots=True)
class by_database:  # noqa: N801 - reads like the function that it is
    """Country, city and coordinates from a MaxMind database of cities."""

    file: Path

    def __call__(self, address: str) -> tuple[object, ...] | None:
        """One address, IPv4 or IPv6; a text that is none is unknown."""
        try:
            found = _reader(self.file).get(address)
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        place = found.get("location", {})
        return (
            found.get("country", {}).get("iso_code"),
            found.get("city", {}).get("names", {}).get("en"),
            place.get("latitude"),
            place.get("longitude"),
        )


@lru_cache(maxsize=1)
def _reader(file: Path):  # type: ignore[no-untyped-def]
    import maxminddb  # noqa: PLC0415

    return maxminddb.open_database(file)
