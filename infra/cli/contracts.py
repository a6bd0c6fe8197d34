"""`userflow contracts`: list, show, compare and export the event contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.contract import Contract
from features.contracts import CONTRACTS, contract_named
from features.errors import CoreError, UnknownName
from features.evolution import breaking_changes
from features.exports import EXPORTS, contract_from_json, contract_to_json, to_markdown_page

__all__ = ["contracts"]

FORMATS = ("avro", "jsonschema", "spark", "sql", "markdown")
DIALECTS = {"postgres": "sql", "delta": "delta"}


class ContractName(click.ParamType[Contract]):
    """A contract by its name or topic."""

    name = "name"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Contract:
        """The declared contract; the error names the nearest ones."""
        try:
            return value if isinstance(value, Contract) else contract_named(value)
        except UnknownName as error:
            self.fail(str(error), param, ctx)


class ContractSource(ContractName):
    """A contract by its name, or from a file that `contracts show NAME --json` wrote."""

    name = "name|file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Contract:
        """The contract; a file wins over a name."""
        if not isinstance(value, str) or not Path(value).is_file():
            return super().convert(value, param, ctx)
        try:
            return contract_from_json(json.loads(Path(value).read_text("utf-8")))
        except ValueError as error:
            self.fail(f"{value} is not JSON: {error}", param, ctx)
        except CoreError as error:
            self.fail(f"{value}: {error}", param, ctx)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def contracts() -> None:
    """The event contracts: what each topic carries."""


@contracts.command("list")
@as_json
def list_contracts(*, as_json: bool) -> None:
    """Name every contract."""
    if as_json:
        return print_json([summary(contract) for contract in CONTRACTS.values()])
    table = Table(box=None)
    for column in ("name", "topic", "version", "key", "fields", "about"):
        table.add_column(column, no_wrap=column in ("name", "topic"))
    for row in map(summary, CONTRACTS.values()):
        table.add_row(*(", ".join(v) if isinstance(v, list) else str(v) for v in row.values()))
    return Console().print(table)


def summary(contract: Contract) -> dict[str, Any]:
    return {
        "name": contract.name,
        "topic": contract.topic,
        "version": contract.version,
        "key": list(contract.key),
        "fields": len(contract.fields),
        "doc": contract.doc,
    }


@contracts.command()
@click.argument("contract", metavar="NAME", type=ContractName())
@as_json
def show(contract: Contract, *, as_json: bool) -> None:
    """Show the fields of the contract NAME; --json writes what `check` reads."""
    if as_json:
        return print_json(contract_to_json(contract))
    table = Table("field", "type", "required", "about", box=None)
    for field in contract.fields:
        required = "yes" if field.required else ", ".join(field.required_for)
        table.add_row(field.name, field.type.value, required, field.doc)
    console = Console()
    console.print(f"[bold]{contract.topic}[/bold] version {contract.version}: {contract.doc}\n")
    return console.print(table)


@contracts.command()
@click.argument("old", type=ContractSource())
@click.argument("new", type=ContractSource())
@as_json
@click.pass_context
def check(ctx: click.Context, old: Contract, new: Contract, *, as_json: bool) -> None:
    """Say whether NEW may replace OLD.

    Each is the name of a contract (as declared now) or a file written by `show NAME --json`.
    The exit code is 1 when readers or producers of OLD would break.
    """
    broken = breaking_changes(old, new)
    if as_json:
        print_json({"compatible": not broken, "breaking": broken})
    else:
        click.echo("\n".join(broken) or f"{new.topic}: version {new.version} is compatible.")
    ctx.exit(1 if broken else 0)


@contracts.command()
@click.argument("contract", metavar="[NAME]", required=False, type=ContractName())
@click.option(
    "--format", "target", type=click.Choice(FORMATS), required=True, help="What to write."
)
@click.option(
    "--dialect",
    type=click.Choice([*DIALECTS]),
    default="postgres",
    show_default=True,
    help="Of --format sql.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write files there.")
@as_json
def export(
    contract: Contract | None, target: str, dialect: str, out: Path | None, *, as_json: bool
) -> None:
    """Write the contract NAME, or all of them, in the words of another tool."""
    chosen = EXPORTS[DIALECTS[dialect] if target == "sql" else target]
    texts = {c.topic: chosen.render(c) for c in ([contract] if contract else CONTRACTS.values())}
    if out:
        files = [write(out / f"{topic}.{chosen.suffix}", text) for topic, text in texts.items()]
        return print_json(files) if as_json else click.echo("\n".join(files))
    if as_json:
        return print_json(texts)
    return click.echo("\n".join(texts.values()), nl=False)


@contracts.command()
def docs() -> None:
    """Print the page that describes all contracts (docs/contracts.md)."""
    click.echo(to_markdown_page(CONTRACTS.values()), nl=False)


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
