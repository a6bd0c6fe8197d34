"""The command line: a table of commands, each imported only when it is called."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import click

from infra.errors import UserflowError

__all__ = ["main"]

# name -> (module, what it does). The attribute has the name of the command, with `_` for `-`.
COMMANDS = {
    "up": ("infra.cli.stack", "Start the embedded Kafka, PostgreSQL and Redis."),
    "down": ("infra.cli.stack", "Stop them; the data stays."),
    "status": ("infra.cli.stack", "Show what runs and where."),
    "init": ("infra.cli.stack", "Create topics, schemas, tables and roles; safe to run again."),
    "demo": ("infra.cli.demo_command", "Run the whole pipeline on simulated input."),
    "produce": ("infra.cli.produce", "Simulate users and send their events."),
    "send": ("infra.cli.produce", "Send recorded events."),
    "stream": ("infra.cli.stream", "Run the streaming jobs."),
    "backfill": ("infra.cli.backfill", "Recompute feature views from the archived events."),
    "daily": ("infra.cli.daily", "Compute the batch tables of a day with Spark."),
    "dlq": ("infra.cli.dlq", "Dead letters: list them, show one, replay them."),
    "rebuild": ("infra.cli.rebuild", "New checkpoint, computed from the archive, then a switch."),
    "repair": ("infra.cli.repair", "Refill Redis from PostgreSQL."),
    "load-raw": ("infra.cli.load_raw", "Check a day of events and load it into raw.events."),
    "marts": ("infra.cli.marts", "Build the marts of a day with dbt."),
    "quality": ("infra.cli.quality", "Gates over what is stored."),
    "publish": ("infra.cli.publish", "Bring the marts to the online store."),
    "airflow": ("infra.cli.airflow", "A standalone Airflow: start it, run a DAG, stop it."),
    "watchdog": ("infra.cli.upkeep", "Look at the streams; tell Slack what began or ended."),
    "maintain": ("infra.cli.upkeep", "Compact and clean the lake, delete what is too old."),
    "serve": ("infra.cli.serve", "The HTTP API."),
    "keys": ("infra.cli.keys", "API keys: create, list and revoke them."),
    "dashboard": ("infra.cli.dashboard", "The live dashboard."),
    "training-set": ("infra.cli.training_set", "Point-in-time-correct features for labels."),
    "feast": ("infra.cli.feast", "A Feast repository over our stores."),
    "get": ("infra.cli.stream", "Show the online features of one entity."),
    "contracts": ("infra.cli.contracts", "List, show, compare and export the event contracts."),
    "features": ("infra.cli.features", "The catalogue: list, show and describe the features."),
    "bench": ("infra.cli.bench", "Run a benchmark."),
}


class LazyCommands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names whose module exists."""
        del ctx
        return [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(COMMANDS[name][0])
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Turn an error of ours into one sentence and its exit code, 1 for most."""
        try:
            return super().invoke(ctx)
        except UserflowError as error:
            click.ClickException(str(error)).show()
            raise click.exceptions.Exit(error.exit_code) from error


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="userflow")
def main() -> None:
    """Behaviour events in, exact features out: a Spark Structured Streaming feature store."""
