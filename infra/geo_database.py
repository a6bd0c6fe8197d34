"""Write the database of places that the daily jobs come with: `python -m infra.geo_database`.

It knows the addresses of simulated users alone, which are reserved for documentation, so it holds
nobody's data. A real one is a setting.
"""

from __future__ import annotations

from pathlib import Path

from producer.places import City, networks
from streaming.batch.lookups import BUNDLED

__all__ = ["write_places"]

DESCRIPTION = "Addresses reserved for documentation, as userflow's simulator uses them"


def write_places(file: Path) -> None:
    """All networks of simulated users, in the form of MaxMind's databases of cities."""
    from mmdb_writer import MMDBWriter  # noqa: PLC0415 - for development alone
    from netaddr import IPSet  # noqa: PLC0415

    database = MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type="userflow-City",
        languages=["en"],
        description=DESCRIPTION,
    )
    for network, country, city in networks():
        database.insert_network(IPSet([str(network)]), _document(country, city))
    database.to_db_file(str(file))


def _document(country: str, city: City) -> dict[str, object]:
    return {
        "country": {"iso_code": country},
        "city": {"names": {"en": city.name}},
        "location": {"latitude": city.latitude, "longitude": city.longitude},
    }


if __name__ == "__main__":
    write_places(BUNDLED)
