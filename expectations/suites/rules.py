"""What is expected of a table, as data: Great Expectations is not known here.

A rule names the class of Great Expectations that decides it and that class's arguments, and says
beside it how severe a failure is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import sql

__all__ = [
    "Rule",
    "Severity",
    "Table",
    "between",
    "has_columns",
    "has_type",
    "is_in",
    "is_null",
    "matches",
    "not_null",
    "unique",
]

Severity = Literal["stop", "warn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`check`: unique within a table, with its column. `only`: the rows that are looked at, as
    a column and the values it must have there.
    """

    check: str
    expectation: str
    severity: Severity
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, Sequence[str]] | None = None

    @property
    def name(self) -> str:
        """`scroll_ratio.between`."""
        return f"{self.column}.{self.check}" if self.column else self.check


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`name`: of the table or of a part of it. `query`: what is looked at. `measured`: the columns
    whose mean is compared with earlier days.
    """

    name: str
    query: sql.Composable
    rules: tuple[Rule, ...]
    measured: tuple[str, ...] = ()


def has_columns(names: Sequence[str]) -> Rule:
    """All of these are there; others may be."""
    arguments = {"column_set": [*names], "exact_match": False}
    return Rule(
        check="columns",
        expectation="ExpectTableColumnsToMatchSet",
        severity="stop",
        arguments=arguments,
    )


def has_type(column: str, types: Sequence[str]) -> Rule:
    """The column is of one of these types, as SQLAlchemy prints them."""
    return Rule(
        check="type",
        expectation="ExpectColumnValuesToBeInTypeList",
        severity="stop",
        column=column,
        arguments={"type_list": [*types]},
    )


def not_null(
    column: str,
    *,
    severity: Severity = "stop",
    only: tuple[str, Sequence[str]] | None = None,
) -> Rule:
    return Rule(
        check="not_null_where" if only else "not_null",
        expectation="ExpectColumnValuesToNotBeNull",
        severity=severity,
        column=column,
        only=only,
    )


def is_null(column: str) -> Rule:
    """For a column that names what is wrong with a row."""
    return Rule(
        check="is_null",
        expectation="ExpectColumnValuesToBeNull",
        severity="stop",
        column=column,
    )


def between(column: str, minimum: Any, maximum: Any, *, severity: Severity = "stop") -> Rule:
    """Within both bounds, which are inclusive; None is no bound. Null passes."""
    return Rule(
        check="between",
        expectation="ExpectColumnValuesToBeBetween",
        severity=severity,
        column=column,
        arguments={"min_value": minimum, "max_value": maximum},
    )


def is_in(column: str, values: Sequence[str]) -> Rule:
    return Rule(
        check="allowed",
        expectation="ExpectColumnValuesToBeInSet",
        severity="stop",
        column=column,
        arguments={"value_set": [*values]},
    )


def matches(column: str, pattern: str) -> Rule:
    """The whole value, as a contract's pattern means it."""
    return Rule(
        check="pattern",
        expectation="ExpectColumnValuesToMatchRegex",
        severity="stop",
        column=column,
        arguments={"regex": f"^(?:{pattern})$"},
    )


def unique(key: Sequence[str]) -> Rule:
    """Each key once. Asked by a query, which counts: what would be shown may be personal."""
    names = sql.SQL(", ").join(map(sql.Identifier, key))
    query = sql.SQL("SELECT count(*) FROM {{batch}} GROUP BY {} HAVING count(*) > 1").format(names)
    return Rule(
        check="unique",
        expectation="UnexpectedRowsExpectation",
        severity="stop",
        column="+".join(key),
        arguments={
            "unexpected_rows_query": query.as_string(),
            "description": f"Each {', '.join(key)} stands there once.",
        },
    )
