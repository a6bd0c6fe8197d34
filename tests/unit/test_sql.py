"""No statement is text with values put into it: values are bound, names are `sql.Identifier`s.

Looked at is every place where text is put together, by an f-string, `+`, `%` or `format`: if it
begins as a statement does, it must be inside of `psycopg.sql`, which quotes what it is given.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "expectations", "features", "infra", "producer", "streaming")
NOT_LOOKED_AT = (
    # Made of declarations alone, where no database is known.
    "features/tables.py",
    "features/exports/sql.py",
    # Spark and Flink bind no names and places.
    "infra/catalog.py",
    "benchmarks/peers/flink_sql.py",
)
STATEMENT = re.compile(
    r"\s*(ALTER|COPY|CREATE|DELETE|DROP|GRANT|INSERT|MERGE|REVOKE|SELECT|SET|TRUNCATE|UPDATE|WITH) "
)


def modules() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if str(path.relative_to(ROOT)) not in NOT_LOOKED_AT]


def pieced_statements(code: str) -> list[int]:
    """The lines where a statement is put together as text."""
    tree = ast.parse(code)
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        for begin in beginnings(node)
        if STATEMENT.match(text(begin, constants))
    ]


def beginnings(node: ast.AST) -> Iterator[ast.expr]:
    """What stands first in a text that is put together here."""
    if isinstance(node, ast.JoinedStr) and len(node.values) > 1:
        yield node.values[0]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        yield node.left
    elif isinstance(node, ast.Attribute) and node.attr in ("format", "format_map", "replace"):
        yield node.value


def text(node: ast.expr, constants: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return constants.get(node.id, "") if isinstance(node, ast.Name) else ""


def test_no_statement_is_put_together_as_text() -> None:
    found = {str(path): pieced_statements(path.read_text(encoding="utf-8")) for path in modules()}
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        'connection.execute(f"DELETE FROM t WHERE id = {key}")',
        'connection.execute("SELECT * FROM " + table)',
        "connection.execute(\"SELECT '%s'\" % name)",
        'query = "SELECT {}".format(name)',
        'READ = "SELECT * FROM {}"\nconnection.execute(READ.format(table))',
    ],
)
def test_what_is_put_together_is_found(code: str) -> None:
    assert len(pieced_statements(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        'connection.execute("SELECT * FROM t WHERE id = %s", [key])',
        'connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))',
        'log(f"{name}: SELECT is a word")',
    ],
)
def test_what_is_bound_or_quoted_is_fine(code: str) -> None:
    assert pieced_statements(code) == []
