"""What a campaign prints, and the same for docs/reliability.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.chaos.campaign import PROMISED_S, Campaign
from benchmarks.report import table
from infra.errors import SettingsError

__all__ = ["markdown", "put_between_marks", "text"]

Conditions = Mapping[str, object]
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
OF_KILLS = ("kill", "what", "at s", "recovery s", "restarts")
OF_COUNTS = ("place", "expected", "lost", "duplicated", "different", "repeats")


def text(campaign: Campaign, conditions: Conditions, *, as_json: bool) -> str:
    """The verdict first, then the kills, then what is wrong."""
    if as_json:
        return json.dumps({"conditions": conditions, **campaign.to_json()})
    parts = [
        summary(campaign),
        table(OF_KILLS, _kills(campaign)),
        table(OF_COUNTS, _counts(campaign)),
        "\n".join(f"{count.place}: for example {count.example}" for count in campaign.wrong),
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items()),
    ]
    return "\n\n".join(filter(None, parts))


def summary(campaign: Campaign) -> str:
    """One sentence, and one more for each thing that is not as promised."""
    slow = ", ".join(f"{kill.number} ({kill.what}, {kill.recovery_s} s)" for kill in campaign.slow)
    slowest = max(kill.recovery_s for kill in campaign.kills)
    totals = ", ".join(f"{campaign.total(what)} {what}" for what in OF_COUNTS[2:5])
    lasted = (
        f"{len(campaign.kills)} kills in {campaign.seconds:.0f} s over {campaign.events:,} events"
    )
    recovery = f"Recovery: median {campaign.median_s:.1f} s, at most {slowest:.1f} s."
    lines = [
        f"{lasted}: {totals}. {recovery}",
        f"Not within {PROMISED_S:.0f} s: kills {slow}." if slow else "",
        f"JVMs that outlived their driver: {campaign.orphans}." if campaign.orphans else "",
    ]
    return "\n".join(filter(None, lines))


def markdown(campaign: Campaign, conditions: Conditions, command: str) -> str:
    """The same for a page."""
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items())
    parts = [
        f"`{command}`: {summary(campaign)}",
        _markdown_table(OF_COUNTS, _counts(campaign)),
        _markdown_table(OF_KILLS, _kills(campaign)),
        f"{told}.",
    ]
    return "\n\n".join(parts)


def put_between_marks(page: Path, found: str) -> None:
    """Replace what stands between the page's two marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SettingsError(f"{page} has no place for a campaign: it needs {BEGIN} and {END}.")
    page.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


def _kills(campaign: Campaign) -> Sequence[Sequence[str]]:
    return [
        (str(kill.number), kill.what, f"{kill.at_s}", f"{kill.recovery_s}", str(kill.restarts))
        for kill in campaign.kills
    ]


def _counts(campaign: Campaign) -> Sequence[Sequence[str]]:
    return [
        (count.place, *(f"{getattr(count, name):,}" for name in OF_COUNTS[1:]))
        for count in campaign.counts
    ]


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
