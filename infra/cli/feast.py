"""`userflow feast export`: a Feast repository over our stores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from infra.endpoints import Endpoints
from infra.errors import StackNotUp
from infra.settings import Settings, load_settings
from infra.stack.ports import LOOPBACK, Ports

__all__ = ["feast"]

# Of a home that has no stack.
DEFAULT_API = "http://127.0.0.1:8000"


@click.group()
def feast() -> None:
    """What Feast needs to read our features, online and offline."""


@feast.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--api", help="Where the API is; where `userflow serve` runs, or will, when left out."
)
@click.option(
    "--as-served",
    is_flag=True,
    help="Join history on when a value could be read, not on when its events happened.",
)
@click.option("--force", is_flag=True, help="Replace files that somebody else wrote or changed.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def export(folder: Path, *, api: str | None, as_served: bool, force: bool, as_json: bool) -> None:
    """Write a Feast repository into DIR.

    Entities, feature views over the lake's logs and a feature_store.yaml whose online store is our
    API. Files that an earlier export wrote are replaced; others are left alone.
    """
    from serving.feast.files import ExportRefused, write_files  # noqa: PLC0415
    from serving.feast.repository import Repository, repository_files  # noqa: PLC0415

    settings = load_settings()
    found = Repository(
        api=api or _api(settings), lake=_absolute(settings.lake_root), is_as_served=as_served
    )
    try:
        written = write_files(folder, repository_files(found), force=force)
    except ExportRefused as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        files, changed = ([str(path) for path in some] for some in (written.files, written.changed))
        return click.echo(json.dumps({"api": found.api, "files": files, "changed": changed}))
    for path in written.files:
        click.echo(f"{path}{'' if path in written.changed else ' (as it was)'}")
    return click.echo(f"Next: cd {folder} && USERFLOW_API_KEY=... feast apply")


def _absolute(lake: str) -> str:
    """Feast reads it from another folder."""
    return lake if "://" in lake else str(Path(lake).absolute())


def _api(settings: Settings) -> str:
    """Where it is or, if it never ran here, where it will be."""
    try:
        api = Endpoints.read(settings.home).api
    except StackNotUp:
        return DEFAULT_API
    ports = Ports(settings.home / "services" / "ports.json")
    port = settings.api_port or ports.known("api") or ports.choose("api")
    return api or f"http://{LOOPBACK}:{port}"
