"""Markdown: the contracts as a page to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from features.columns import stored_columns
from features.contract import Contract, Field, camel_case

__all__ = ["to_markdown", "to_markdown_page"]

HEAD = """# Contracts

What each topic carries. Generated from `features/contracts/` by `userflow contracts docs`; a test
compares. Every field is also accepted in camelCase and under `properties`; fields that no contract
knows are kept in `extra`. An event that breaks its contract becomes a dead letter with the reason.
"""


def to_markdown_page(contracts: Iterable[Contract]) -> str:
    """The whole page: all contracts, one section each."""
    return "\n".join((HEAD, *(to_markdown(contract) for contract in contracts)))


def to_markdown(contract: Contract) -> str:
    """One section: the topic's facts, a table of its fields, a table per nested record."""
    nested = [field for field in contract.fields if field.items]
    return "\n".join(
        (
            f"## {contract.topic}\n",
            f"{contract.doc} Version {contract.version}; key: {names(contract.key)}.\n",
            table(contract.fields),
            *(f"\nEach of `{f.name}`:\n\n{table(f.items)}" for f in nested),
            f"\nStored as: {names(column.name for column in stored_columns(contract))}.\n",
        )
    )


def table(fields: tuple[Field, ...]) -> str:
    head = (
        "| field | type | required | rule | also accepted as | meaning |",
        "|---|---|---|---|---|---|",
    )
    return "\n".join((*head, *(row(field) for field in fields)))


def row(field: Field) -> str:
    spelled = (alias for alias in field.aliases if alias != camel_case(field.name))
    cells = (
        f"`{field.name}`",
        field.type.value,
        requirement(field),
        "; ".join(rules(field)),
        names(spelled),
        field.doc,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def requirement(field: Field) -> str:
    if field.required:
        return "yes"
    if not field.required_for:
        return ""
    waived = f", unless `{field.waived_by}` is sent" if field.waived_by else ""
    return f"for {names(field.required_for)}{waived}"


def rules(field: Field) -> Iterator[str]:
    if field.allowed:
        yield names(field.allowed)
    if field.pattern:
        yield f"matches `{field.pattern}`"
    yield from bounds(field)
    if field.default is not None:
        yield f"default {field.default}"
    if field.unit:
        yield f"in {field.unit}"
    if field.pii:
        yield "personal"


def bounds(field: Field) -> Iterator[str]:
    if field.minimum is not None:
        yield f"≥ {field.minimum:g}"
    if field.maximum is not None:
        yield f"≤ {field.maximum:g}"


def names(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
