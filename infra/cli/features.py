"""`userflow features`: the catalogue of what streams keep and of what is computed once a day."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from features.batch_views import BatchView
from features.catalogue import CATALOGUE, AnyView, any_view_named
from features.columns import Column as Declared
from features.errors import UnknownName
from features.exports.catalogue import families, to_catalogue

__all__ = ["features"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def features() -> None:
    """The feature views: what is kept of every entity."""


@features.command("list")
@as_json
def list_features(*, as_json: bool) -> None:
    """Name every view and count its features."""
    rows = [_summary(view) for view in CATALOGUE.values()]
    if as_json:
        return _print_json(rows)
    table = Table(Column("view", no_wrap=True), "entity", "features", "of", box=None)
    for view in CATALOGUE.values():
        table.add_row(view.name, ", ".join(view.key), str(len(view.features)), _source(view))
    console = Console()
    console.print(table)
    total = sum(len(view.features) for view in CATALOGUE.values())
    return console.print(f"\n{total} features in {len(rows)} views.")


@features.command()
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """Show the features of the view NAME, or the one feature NAME of any view."""
    view, chosen = _found(name)
    columns = [_document(column) for column in chosen]
    if as_json:
        return _print_json({**_summary(view), "features": columns})
    console = Console()
    about = _summary(view)
    console.print(f"[bold]{view.name}[/bold] version {about['version']}: {about['about']}")
    console.print(f"For each {', '.join(view.key)}, of {_source(view)}.\n")
    table = Table("feature", "type", "unit", "windows", "about", box=None)
    names = {column.name for column in chosen}
    for family in families(view):
        windows = [w for w in family.windows if f"{family.name}_{w}" in names]
        if windows or family.name in names:
            column = family.column
            over = " ".join(windows)
            table.add_row(family.name, column.type.value, column.unit or "", over, family.doc)
    return console.print(table)


@features.command()
def docs() -> None:
    """Print the catalogue page (docs/features.md)."""
    click.echo(to_catalogue(CATALOGUE.values()), nl=False)


def _found(name: str) -> tuple[AnyView, list[Any]]:
    for view in CATALOGUE.values():
        if found := [column for column in view.features if column.name == name]:
            return view, found
    try:
        view = any_view_named(name)
    except UnknownName as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    return view, list(view.features)


def _document(column: Declared) -> dict[str, Any]:
    items = [_document(item) for item in column.items]
    return {**asdict(column), "type": column.type.value, "items": items}


def _summary(view: AnyView) -> dict[str, Any]:
    """`topic`: null for a view of the day, whose table is said by `made_by` and `table`."""
    known = {"view": view.name, "entity": list(view.key), "features": len(view.features)}
    if isinstance(view, BatchView):
        mart = view.mart
        made = {"made_by": view.made_by, "table": mart.name, "owner": mart.owner, "about": mart.doc}
        return {**known, "topic": None, "version": 1, **made}
    about = {"version": view.version, "owner": view.owner, "about": view.doc}
    return {**known, "topic": view.topic, "made_by": "stream", **about}


def _source(view: AnyView) -> str:
    if isinstance(view, BatchView):
        return f"{'marts.' if view.made_by == 'dbt' else 'batch/'}{view.mart.name}"
    return f"topic {view.topic}"


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
