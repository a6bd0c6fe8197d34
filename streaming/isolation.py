"""A keyed step that raises is done again in halves, until the keys that break it stand alone.

They are set aside with the reason, and all others get on. A step is all or nothing
(`streaming.state.store.State.opened`), so what raised has left no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from streaming.outcome import Outcome
from streaming.packing import concat, from_blob, to_blob

__all__ = ["Blobs", "Broken", "isolated", "reason_of"]

# What came to a bucket, by kind.
Blobs = Mapping[str, Sequence[bytes]]
Rows = Mapping[str, pl.DataFrame]
Step = Callable[[Blobs, Outcome], None]
# Sets the rows of one key aside: what the step raised, and where to put them.
Broken = Callable[[Rows, Exception, Outcome], None]
KEY = "key of isolation"
NO_ROWS: Blobs = {}


def isolated(
    blobs: Blobs, outcome: Outcome, step: Step, keys: Mapping[str, pl.Expr], broken: Broken
) -> None:
    """Do the step; `keys`: the key of a row, by kind.

    Raises what the step raises where no key is to blame: when it raises without rows too.
    """
    try:
        _tried(blobs, outcome, step)
    except Exception:  # noqa: BLE001 - what no key is to blame for is raised by the next line
        _tried(NO_ROWS, outcome, step)
        rows = {kind: concat(map(from_blob, parts)) for kind, parts in blobs.items()}
        keyed = {kind: part.with_columns(keys[kind].alias(KEY)) for kind, part in rows.items()}
        names = {name for part in keyed.values() for name in part[KEY].to_list()}
        _halves(keyed, sorted(names), outcome, step, broken)


def reason_of(error: Exception) -> str:
    """What it is and where it comes from; not its text, which may hold data of the rows."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code, trace = trace.tb_frame.f_code, trace.tb_next
        place = f"{code.co_name} of {code.co_filename.rpartition('/')[2]}"
    return f"The step of its key failed: {type(error).__name__} in {place}."


def _tried(blobs: Blobs, outcome: Outcome, step: Step) -> None:
    tried = Outcome(outcome.label)
    step(blobs, tried)
    outcome.add(tried)


def _halves(
    keyed: Rows, names: Sequence[str], outcome: Outcome, step: Step, broken: Broken
) -> None:
    some = {kind: part.filter(pl.col(KEY).is_in(names)) for kind, part in keyed.items()}
    rows = {kind: part.drop(KEY) for kind, part in some.items() if part.height}
    try:
        _tried({kind: [to_blob(part)] for kind, part in rows.items()}, outcome, step)
    except Exception as error:  # noqa: BLE001 - whatever it is: it is set aside with its reason
        if len(names) == 1:
            broken(rows, error, outcome)
            return
        middle = len(names) // 2
        _halves(some, names[:middle], outcome, step, broken)
        _halves(some, names[middle:], outcome, step, broken)
