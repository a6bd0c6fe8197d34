"""What became of an expectation, in figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Any

from expectations.suites.rules import Severity

__all__ = ["Outcome", "outcomes_of"]

NOT_EVALUATED = {"error": "could not be evaluated; the Data Docs say why"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of `checked` rows `failed` broke it; where it is about the whole table, 0 or 1 of 1 did.

    `details`: what was observed, some of the values that broke it, never personal data.
    """

    table: str
    check: str
    column: str | None = None
    severity: Severity
    checked: int
    failed: int
    passed: bool
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`user-events:price.between`."""
        column = f"{self.column}." if self.column else ""
        return f"{self.table}:{column}{self.check}"

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return asdict(self)


def outcomes_of(validated: Any) -> Iterator[Outcome]:
    """Those of one table, from Great Expectations' result for its suite."""
    rows = _rows(validated)
    for one in validated.results:
        meta = _meta(one)
        yield Outcome(
            table=validated.suite_name,
            check=meta["check"],
            column=meta["column"],
            severity=meta["severity"],
            **_figures(one, rows),
        )


def _rows(validated: Any) -> int:
    counted = (one for one in validated.results if _meta(one)["check"] == "row_count")
    return next(one.result.get("observed_value") or 0 for one in counted)


def _meta(one: Any) -> dict[str, Any]:
    meta: dict[str, Any] = one.expectation_config.meta
    return meta


def _figures(one: Any, rows: int) -> dict[str, Any]:
    result, passed = one.result, bool(one.success)
    if not result:  # it raised; the reason may hold a statement, so it is left to the Data Docs
        return {"checked": rows, "failed": rows or 1, "passed": False, "details": NOT_EVALUATED}
    if "element_count" in result:
        failed = result["unexpected_count"] or 0  # null where no row was looked at
        examples = result.get("partial_unexpected_list", []) if failed else []
        details = {"examples": [*map(_plain, examples)]} if examples else {}
        checked = result["element_count"] - result.get("missing_count", 0)
        return {"checked": checked, "failed": failed, "passed": passed, "details": details}
    return _figures_of_table(one, rows)


def _figures_of_table(one: Any, rows: int) -> dict[str, Any]:
    observed, passed = one.result.get("observed_value"), bool(one.success)
    check = _meta(one)["check"]
    if check == "unique":
        return {"checked": rows, "failed": observed, "passed": passed}
    if check == "columns":
        missing = one.result.get("details", {}).get("mismatched", {}).get("missing", [])
        details: dict[str, Any] = {"missing": missing} if missing else {}
    elif check == "mean" and observed is None:
        passed, details = True, {}  # nothing but null: there is no mean to compare
    else:
        details = {"observed": _plain(observed)}
    return {"checked": 1, "failed": 0 if passed else 1, "passed": passed, "details": details}


def _plain(value: Any) -> Any:
    """As JSON has it: numbers that are none, and what is no number, as text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float | Decimal) and isfinite(value):
        return float(value)
    return str(value)
