"""`userflow keys`: who may call the API."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from infra import api_keys
from infra.endpoints import Endpoints
from infra.settings import load_settings

__all__ = ["keys"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """API keys. A key is shown once, when it is made; what is kept of it is a hash."""


@keys.command()
@click.option("--scopes", required=True, help="Some of collect, read and admin, with commas.")
@click.option("--name", default="", help="What it is for, to find it again.")
@as_json
def create(*, scopes: str, name: str, as_json: bool) -> None:
    """Make a key and print it, once."""
    chosen = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    key_id, secret = api_keys.create_key(_postgres(), chosen, name)
    if as_json:
        click.echo(json.dumps({"key_id": key_id, "key": secret, "scopes": sorted(set(chosen))}))
        return
    click.echo(secret)
    click.echo(f"Its id is {key_id}; the key itself is not shown again.", err=True)


@keys.command("list")
@as_json
def list_keys(*, as_json: bool) -> None:
    """Show every key that was made, without the keys themselves."""
    found = api_keys.list_keys(_postgres())
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], default=str))
        return
    table = Table("id", "name", "scopes", "made", "revoked", box=None)
    for one in found:
        made, revoked = f"{one.created_at:%Y-%m-%d %H:%M}", f"{one.revoked_at or ''}"[:16]
        table.add_row(one.key_id, one.name, ", ".join(one.scopes), made, revoked)
    Console().print(table)


@keys.command()
@click.argument("key_id")
def revoke(*, key_id: str) -> None:
    """End the key of the id KEY_ID; the API refuses it within five seconds."""
    api_keys.revoke_key(_postgres(), key_id)
    click.echo(f"{key_id} is revoked.")


def _postgres() -> str:
    return Endpoints.read(load_settings().home).postgres
