"""`userflow features`: the catalogue of what the streams keep."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.errors import UnknownName
from features.exports.catalogue import families, to_catalogue
from features.views import VIEWS, FeatureView, view_named

__all__ = ["features"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def features() -> None:
    """The feature views: what is kept of every entity."""


@features.command("list")
@as_json
def list_features(*, as_json: bool) -> None:
    """Name every view and count its features."""
    rows = [_summary(view) for view in VIEWS.values()]
    if as_json:
        return _print_json(rows)
    table = Table("view", "entity", "features", "topic", box=None)
    for view in VIEWS.values():
        table.add_row(view.name, ", ".join(view.key), str(len(view.features)), view.topic)
    console = Console()
    console.print(table)
    total = sum(len(view.features) for view in VIEWS.values())
    return console.print(f"\n{total} features in {len(rows)} views.")


@features.command()
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """Show the features of the view NAME, or the one feature NAME of any view."""
    view, chosen = _found(name)
    columns = [{**asdict(column), "type": column.type.value} for column in chosen]
    if as_json:
        return _print_json({**_summary(view), "features": columns})
    console = Console()
    console.print(f"[bold]{view.name}[/bold] version {view.version}: {view.doc}")
    console.print(f"For each {', '.join(view.key)}, of topic {view.topic}.\n")
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
    click.echo(to_catalogue(VIEWS.values()), nl=False)


def _found(name: str) -> tuple[FeatureView, list[Any]]:
    for view in VIEWS.values():
        if found := [column for column in view.features if column.name == name]:
            return view, found
    try:
        view = view_named(name)
    except UnknownName as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    return view, list(view.features)


def _summary(view: FeatureView) -> dict[str, Any]:
    return {
        "view": view.name,
        "entity": list(view.key),
        "features": len(view.features),
        "topic": view.topic,
        "version": view.version,
        "owner": view.owner,
        "about": view.doc,
    }


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
