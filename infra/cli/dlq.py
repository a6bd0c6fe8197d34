"""`userflow dlq`: dead letters, what became of them, and the way back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import options
from infra.endpoints import Endpoints
from infra.settings import load_settings
from infra.signals import stopping

if TYPE_CHECKING:
    from infra.dead_letters.letters import Place, Selection

__all__ = ["dlq"]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"(\d{1,6})([smhdw])")
STATUSES = ("open", "replayed", "archived")


class Since(click.ParamType[datetime]):
    """A point in time: ISO-8601 (no offset means UTC), or how long ago, as `2h`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """An aware time."""
        if isinstance(value, datetime):
            return value
        try:
            if ago := AGO.fullmatch(value):
                return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
            at = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither ISO-8601 nor an age like 30m, 2h, 1d.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class PlaceName(click.ParamType["Place"]):
    """A letter, by where its record lay."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Split it."""
        from infra.dead_letters.letters import Place  # noqa: PLC0415 - needs PostgreSQL's client

        if isinstance(value, Place):
            return value
        try:
            return Place.parse(value)
        except ValueError:
            self.fail(f"{value!r} has not the form topic/partition/offset.", param, ctx)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
filters = options(
    click.option("--reason", help="Only with this reason code, as not_json or late."),
    click.option(
        "--since", type=Since(), help="Only rejected since then: ISO-8601, or an age like 2h or 1d."
    ),
    click.option("--topic", help="Only from this topic."),
)


@click.group()
def dlq() -> None:
    """Dead letters: events that broke their contract or came too late.

    A letter is named by its PLACE: topic/partition/offset of its record in Kafka.
    """


@dlq.command("list")
@filters
@click.option("--status", type=click.Choice(STATUSES), help="Only in this status.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Most letters."
)
@as_json
def list_letters(*, status: str | None, limit: int, as_json: bool, **given: Any) -> None:
    """Count the letters of each kind, and name the newest ones.

    Shows no payload, and no sentence that could quote one: `userflow dlq show PLACE` does.
    """
    from infra.cli import dlq_text  # noqa: PLC0415 - PostgreSQL's client and rich
    from infra.dead_letters.letters import connected, count_of_each, newest  # noqa: PLC0415

    chosen = _selection(**given, status=status)
    with connected(_endpoints()) as connection:
        counts = count_of_each(connection, chosen)
        headings = newest(connection, chosen, limit)
    if as_json:
        click.echo(json.dumps(dlq_text.list_to_json(counts, headings), indent=2))
    else:
        dlq_text.print_list(counts, headings)


@dlq.command()
@click.argument("place", type=PlaceName())
@as_json
def show(*, place: Place, as_json: bool) -> None:
    """Show all of one letter: its payload, every try to replay it, and what today's contract says.

    The payload may hold personal data.
    """
    from infra.cli import dlq_text  # noqa: PLC0415
    from infra.dead_letters.judging import judge  # noqa: PLC0415
    from infra.dead_letters.letters import connected, read_one  # noqa: PLC0415
    from infra.dead_letters.trail import chain, tries_of  # noqa: PLC0415

    with connected(_endpoints()) as connection:
        letter = read_one(connection, place)
        tries = {one: tries_of(connection, one) for one in chain(connection, place)}
    judged = next(judge([letter]))
    now = judged.invalid[0][1] if judged.invalid else None
    shown = dlq_text.letter_to_json(letter, tries, now)
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        dlq_text.print_letter(shown)


@dlq.command()
@click.argument("places", metavar="[PLACE]...", nargs=-1, type=PlaceName())
@filters
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the running stream, to say how many features changed; 0: do not.",
)
@as_json
def replay(
    *, places: tuple[Place, ...], dry_run: bool, wait_s: float, as_json: bool, **given: Any
) -> None:
    """Send the open letters again that today's contract accepts, each once.

    They go to their original topic with their key, their bytes and their time of receipt. What the
    stream would only call late goes to the archive, where `userflow backfill` counts it. What is
    still invalid stays open. A letter that came back is not sent again. Ctrl-C ends it early, with
    the report.
    """
    from rich.console import Console  # noqa: PLC0415

    from infra.dead_letters.replay import preview  # noqa: PLC0415
    from infra.dead_letters.replay import replay as run  # noqa: PLC0415

    chosen = _selection(**given, places=places)
    if dry_run:
        report = preview(chosen, endpoints=_endpoints())
    else:
        with stopping() as stop, Console(stderr=True).status("replaying") as status:
            say = status.update
            report = run(chosen, endpoints=_endpoints(), wait_s=wait_s, say=say, stop=stop)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        click.echo("\n".join(report.lines()))


def _selection(**given: Any) -> Selection:
    from infra.dead_letters.letters import Selection  # noqa: PLC0415

    return Selection(**given)


def _endpoints() -> Endpoints:
    return Endpoints.read(load_settings().home)
