"""Exports: a contract in the words of another tool, one module per target.

`EXPORTS` is the registry that the command line and the golden tests walk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from features.contract import Contract
from features.exports.avro import to_avro
from features.exports.document import contract_from_json, contract_to_json
from features.exports.jsonschema import to_jsonschema
from features.exports.markdown import to_markdown, to_markdown_page
from features.exports.spark import to_spark
from features.exports.sql import to_sql

__all__ = [
    "EXPORTS",
    "Export",
    "contract_from_json",
    "contract_to_json",
    "to_avro",
    "to_jsonschema",
    "to_markdown",
    "to_markdown_page",
    "to_spark",
    "to_sql",
]


@dataclass(frozen=True, slots=True)
class Export:
    """One target: how its files end and how its text is made."""

    suffix: str
    render: Callable[[Contract], str]


def as_text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


EXPORTS: Mapping[str, Export] = MappingProxyType(
    {
        "avro": Export("avsc", lambda contract: as_text(to_avro(contract))),
        "jsonschema": Export("schema.json", lambda contract: as_text(to_jsonschema(contract))),
        "spark": Export("spark.ddl", lambda contract: to_spark(contract) + "\n"),
        "sql": Export("postgres.sql", to_sql),
        "delta": Export("delta.sql", lambda contract: to_sql(contract, "delta")),
        "markdown": Export("md", to_markdown),
    }
)
