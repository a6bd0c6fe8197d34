"""The summary of a demo: a list of sections, each with data for programs and a table for people.

A later part of the platform adds a function to `SECTIONS`, and nothing else here changes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import polars as pl
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.views import view_named
from infra.demo.batch import Batch
from infra.demo.latency import QUANTILES, latencies
from infra.demo.load import Run
from infra.demo.proof import Proof
from infra.demo.served import Answered
from infra.endpoints import Endpoints
from infra.online import read_online

__all__ = ["Outcome", "Section", "document", "sections", "show"]

SESSION_FEATURES = view_named("session_features")

PLACES = {
    "PostgreSQL": "online.session_features",
    "Redis": "webtoon_session:*",
    "Delta": "features/session_features",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a report is made of."""

    run: Run
    endpoints: Endpoints
    proof: Proof
    log: list[dict[str, Any]]
    batch: Batch | None = None
    answered: Answered | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the summary: `name` and `data` for `--json`, the rest for people."""

    name: str
    title: str
    data: Any
    body: RenderableType


def events(outcome: Outcome) -> Section:
    """What was sent and what became of it."""
    table = _table("topic", ">sent", ">accepted", ">duplicates", ">dead letters")
    topics: dict[str, Any] = {}
    for count in outcome.proof.topics:
        numbers = (count.sent, count.accepted, count.duplicates, count.dead)
        table.add_row(count.topic, *(f"{n:,}" for n in numbers))
        topics[count.topic] = {
            "sent": count.sent,
            "accepted": count.accepted,
            "duplicates": count.duplicates,
            "dead_letters": dict(count.dead_letters),
        }
    title = f"Events in, during {outcome.run.seconds} s"
    return Section(name="events", title=title, data=topics, body=table)


def dead_letters(outcome: Outcome) -> Section:
    """Why events were refused; each is kept with its bytes."""
    reasons: Counter[str] = Counter()
    for count in outcome.proof.topics:
        reasons.update(count.dead_letters)
    table = _table("reason", ">dead letters")
    for reason, n in reasons.most_common():
        table.add_row(reason, f"{n:,}")
    title = "Dead letters: kept in the topic dead-letters and in ops.dead_letters"
    return Section(name="dead_letters", title=title, data=dict(reasons), body=table)


def sessions(outcome: Outcome) -> Section:
    """How the sessions of the run ended."""
    rows = outcome.proof.rows["PostgreSQL"]
    ended = {
        "completed": pl.col("is_completed"),
        "left early": pl.col("is_exit_tag"),
        "still reading": ~pl.col("is_completed") & ~pl.col("is_exit_tag"),
        "closed": pl.col("is_closed"),
    }
    counts = {name: rows.filter(is_so).height for name, is_so in ended.items()}
    data = {"total": rows.height, **{name.replace(" ", "_"): n for name, n in counts.items()}}
    told = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    return Section(
        name="sessions", title="Sessions", data=data, body=Text(f"{rows.height:,}: {told}")
    )


def feature_rows(outcome: Outcome) -> Section:
    """How many rows each store holds."""
    table = _table("store", "where", ">rows of this run")
    data = {store: rows.height for store, rows in outcome.proof.rows.items()}
    for store, count in data.items():
        table.add_row(store, PLACES[store], f"{count:,}")
    changes = outcome.proof.log_rows
    table.add_row("", "every change of them, in the Delta log", f"{changes:,}")
    data = {name.lower(): count for name, count in data.items()} | {"delta_log": changes}
    return Section(name="feature_rows", title="Feature rows", data=data, body=table)


def latency(outcome: Outcome) -> Section:
    """How soon an event could be read."""
    found = latencies(outcome.proof.archive, outcome.log)
    table = _table("readable in", *(f">{name}" for name in QUANTILES))
    for store, values in found.items():
        table.add_row(store, *(f"{value:,.0f} ms" for value in values.values()))
    data = {store.lower(): values for store, values in found.items()}
    title = "Event -> readable: from Kafka's append to the store's answer, all webtoon events"
    return Section(name="latency_ms", title=title, data=data, body=table)


def example(outcome: Outcome) -> Section:
    """One session's features, as the online store serves them."""
    rows = outcome.proof.rows["PostgreSQL"].sort(
        "is_completed", "event_count", descending=True, nulls_last=True
    )
    if rows.is_empty():
        return Section(name="example", title="One session", data=None, body=Text("none"))
    entity = "|".join(rows.row(0, named=True)[part] for part in SESSION_FEATURES.key)
    served = read_online(outcome.endpoints, SESSION_FEATURES.name, entity) or {}
    table = _table("feature", "value")
    for name, value in served.items():
        table.add_row(name, "" if value is None else str(value))
    return Section(
        name="example",
        title=f"One session: userflow get {SESSION_FEATURES.name} '{entity}'",
        data={"view": SESSION_FEATURES.name, "id": entity, "features": served},
        body=table,
    )


def answer(outcome: Outcome) -> Section:
    """One user's features, as the API returns them."""
    found = outcome.answered
    if found is None:
        return Section(name="answer", title="One user", data=None, body=Text("nobody asked"))
    table = _table("feature", "value")
    for name, value in found.row["features"].items():
        if value is not None:
            table.add_row(name, str(value))
    told = (
        f"From {found.source}, written {found.row['age_ms']:,} ms before; what is null is left out."
    )
    return Section(
        name="answer",
        title=f"One user, as the API returns it: GET {found.path}",
        data={"path": found.path, "source": found.source, **found.row},
        body=Group(table, Text(told)),
    )


def quality(outcome: Outcome) -> Section:
    """What the seven checks found in the events of the day."""
    title = "Quality: the archived events of the day, and what the checks found"
    if outcome.batch is None:
        return Section(name="quality", title=title, data=None, body=Text("not looked at"))
    raw = outcome.batch.raw
    table = _table("check", ">checked", ">failed", ">passed")
    for one in raw.checks:
        table.add_row(one.check, f"{one.checked:,}", f"{one.failed:,}", f"{one.rate:.2%}")
    told = f"{raw.loaded:,} of {raw.events:,} events are in raw.events, as of {raw.run_date}."
    return Section(name="quality", title=title, data=raw.to_json(), body=Group(table, Text(told)))


def marts(outcome: Outcome) -> Section:
    """What dbt built of that day, and what became a batch view."""
    title = "Marts: built and tested by dbt; some are batch views of the online store too"
    if outcome.batch is None:
        return Section(name="marts", title=title, data=None, body=Text("not built"))
    built, views = outcome.batch.marts, outcome.batch.published.views
    table = _table("mart", ">rows", "online as")
    for mart in built.marts:
        view = f"{mart.name}_daily"
        table.add_row(mart.name, f"{mart.rows:,}", f"online.{view}" if view in views else "")
    data = {**built.to_json(), **outcome.batch.published.to_json()}
    return Section(name="marts", title=title, data=data, body=table)


def addresses(outcome: Outcome) -> Section:
    """Where to look; passwords stay in the endpoints file."""
    found = outcome.endpoints
    data = {
        "kafka": found.kafka,
        "postgres": _without_password(found.postgres),
        "redis": _without_password(found.redis),
        "lake": found.lake,
        **(outcome.answered.addresses if outcome.answered else {}),
    }
    table = _table("what", "where")
    for name, value in data.items():
        table.add_row(name, value)
    table.add_row("passwords", "endpoints.json in the home; api_key is the API's")
    table.add_row("look", "userflow status; userflow get session_features 'SESSION|EPISODE'")
    return Section(name="addresses", title="Addresses", data=data, body=table)


def agreement(outcome: Outcome) -> Section:
    """Whether the stores hold what was produced, and what differs."""
    found = outcome.proof.differences
    data = [one.to_json() for one in found]
    title = "Do the stores hold what was produced?"
    if not found:
        verdict = Text("Yes: all counts and all values agree.", style="bold green")
        return Section(name="differences", title=title, data=data, body=verdict)
    table = _table("what", "found", "expected", "look at")
    for one in found:
        table.add_row(one.what, one.found, one.expected, one.look)
    body = Group(Text(f"No: {len(found)} differences.", style="bold red"), table)
    return Section(name="differences", title=title, data=data, body=body)


SECTIONS: tuple[Callable[[Outcome], Section], ...] = (
    events,
    dead_letters,
    sessions,
    feature_rows,
    latency,
    quality,
    marts,
    example,
    answer,
    addresses,
    agreement,
)


def sections(outcome: Outcome) -> list[Section]:
    """The whole summary, in order."""
    return [make(outcome) for make in SECTIONS]


def document(outcome: Outcome) -> str:
    """The summary as one JSON object."""
    parts: Mapping[str, Any] = {part.name: part.data for part in sections(outcome)}
    agrees = not outcome.proof.differences
    whole = {"agrees": agrees, "run": outcome.run.to_json(), **parts}
    return json.dumps(whole, default=str, ensure_ascii=False)


def show(outcome: Outcome, console: Console) -> None:
    """Print the summary for people."""
    for part in sections(outcome):
        console.print()
        console.print(Text(part.title, style="bold"))
        console.print(part.body)


def _table(*headers: str) -> Table:
    """Only the terminal's own colours; a header that begins with `>` is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        name = header.removeprefix(">")
        table.add_column(
            name,
            justify="right" if name != header else "left",
            overflow="fold",
            min_width=len(name),
        )
    return table


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.hostname}:{parts.port}{parts.path}"
