"""The registry of event contracts, by topic."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.contract import Contract
from features.contracts.commerce import COMMERCE
from features.contracts.sources import SOURCES
from features.contracts.webtoon import WEBTOON
from features.errors import UnknownName

__all__ = ["CONTRACTS", "contract_named"]

CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {contract.topic: contract for contract in (WEBTOON, COMMERCE, *SOURCES)}
)


def contract_named(name: str) -> Contract:
    """The contract of that name or topic; raises `UnknownName` with the nearest names."""
    for contract in CONTRACTS.values():
        if name in (contract.name, contract.topic):
            return contract
    raise UnknownName("contract", name, [*CONTRACTS])
