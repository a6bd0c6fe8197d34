"""Which checkpoint a job goes on with, and whether today's code and settings fit it.

`ops.stream_checkpoints` names the checkpoints of each job, their generations and the layouts of
their state. A home from before that table begins with generation 1 and what it finds there. One
that is being built takes over with the first epoch that is committed of its generation, which is
the rebuild's: so the switch is one transaction, the one that replaces the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from infra.errors import CheckpointMismatch
from streaming.layout import Layout, mismatches

__all__ = [
    "Building",
    "Checkpoint",
    "IdOf",
    "begin_rebuild",
    "finish_rebuild",
    "open_checkpoint",
    "require_layout",
]

FIRST = """
INSERT INTO ops.stream_checkpoints (job, generation, place, layout, state, made_at)
SELECT %(job)s, 1, %(job)s, %(layout)s, 'active', now()
WHERE NOT EXISTS (SELECT FROM ops.stream_checkpoints WHERE job = %(job)s)
ON CONFLICT DO NOTHING"""

CURRENT = """
SELECT made.generation, place, layout, state, epoch, checkpoint_id
FROM ops.stream_checkpoints AS made LEFT JOIN LATERAL (
    SELECT epoch, checkpoint_id FROM ops.stream_epochs AS done
    WHERE done.job = made.job AND done.generation = made.generation
    ORDER BY committed_at DESC, epoch DESC LIMIT 1) AS newest ON true
WHERE job = %s AND (state = 'active' OR state = 'building' AND epoch IS NOT NULL)
ORDER BY generation DESC LIMIT 1"""

RECORD = "UPDATE ops.stream_checkpoints SET layout = %s WHERE job = %s AND generation = %s"

BUILD = """
INSERT INTO ops.stream_checkpoints (job, generation, place, layout, state, made_at)
VALUES (%s, %s, %s, %s, 'building', now())
ON CONFLICT (job, generation) DO UPDATE SET layout = excluded.layout, made_at = excluded.made_at"""

RETIRE = """
UPDATE ops.stream_checkpoints SET state = 'retired' WHERE job = %s AND generation < %s"""

ACTIVATE = """
UPDATE ops.stream_checkpoints SET state = 'active' WHERE job = %s AND generation = %s"""

# The place of a checkpoint -> its id; None if there is none.
IdOf = Callable[[str], str | None]
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`place`: a path or URI; rows are written in this generation. `is_seeded`: its first epoch
    begins with the state that a rebuild left.
    """

    generation: int
    place: str
    is_seeded: bool = False


@dataclass(frozen=True, slots=True)
class Building:
    """A checkpoint that is being built; `has_switched`: only what follows PostgreSQL is left."""

    generation: int
    place: str
    has_switched: bool


def open_checkpoint(
    connection: Connection, job: str, layout: Layout, *, root: str, id_of: IdOf
) -> Checkpoint:
    """The checkpoint that a job goes on with, or begins with; its layout is on record then.

    Raises `CheckpointMismatch` if its state was made for another layout, if it is not there, or if
    the rebuild that makes it has not ended.
    """
    with connection.transaction():
        connection.execute(FIRST, {"job": job, "layout": Jsonb(layout)})
        generation, name, stored, state, epoch, committed = _current(connection, job)
        place = f"{root}/{name}"
        if state == "building":
            raise CheckpointMismatch(
                f"The rebuild of job {job} was interrupted while the other stores followed: run "
                f"`userflow rebuild --jobs {job}` again, which only does the rest."
            )
        # Before the first epoch there is no state that anything could be wrong for.
        if committed is not None:
            _require_same(job, committed, id_of(place))
            _require_fit(job, stored, layout)
        connection.execute(RECORD, [Jsonb(layout), job, generation])
    # Spark has committed its first batch for sure when the second epoch is committed.
    is_seeded = generation > 1 and (epoch is None or epoch < 1)
    return Checkpoint(generation, place, is_seeded)


def require_layout(connection: Connection, job: str, layout: Layout) -> None:
    """Raises `CheckpointMismatch` if the job's state was made for another layout.

    `open_checkpoint` asks again, and more: this needs nothing but PostgreSQL, so it can be asked
    before anything is started.
    """
    found = connection.execute(CURRENT, [job]).fetchone()
    if found is not None and found[5] is not None:
        _require_fit(job, found[2], layout)


def begin_rebuild(connection: Connection, job: str, layout: Layout, *, root: str) -> Building:
    """Put the job's next checkpoint on record, or find one whose rebuild was interrupted."""
    with connection.transaction():
        connection.execute(FIRST, {"job": job, "layout": Jsonb(layout)})
        generation, name, _, state, _, _ = _current(connection, job)
        if state == "building":
            return Building(generation, f"{root}/{name}", has_switched=True)
        name = f"{job}-g{generation + 1}"
        connection.execute(BUILD, [job, generation + 1, name, Jsonb(layout)])
    return Building(generation + 1, f"{root}/{name}", has_switched=False)


def finish_rebuild(connection: Connection, job: str, generation: int) -> None:
    """The new checkpoint is the active one."""
    with connection.transaction():
        connection.execute(RETIRE, [job, generation])
        connection.execute(ACTIVATE, [job, generation])


def _current(connection: Connection, job: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] | None = connection.execute(CURRENT, [job]).fetchone()
    if found is None:
        raise psycopg.OperationalError(f"The checkpoint of job {job} was replaced just now.")
    return found


def _require_same(job: str, committed: str, found: str | None) -> None:
    if found == committed:
        return
    what = "is not there" if found is None else f"is another one ({found})"
    raise CheckpointMismatch(
        f"The checkpoint of job {job} {what}, but the stores hold what {committed} has written: "
        f"a new one would count epochs from 0 and lose against their rows. {_way_out(job)}"
    )


def _require_fit(job: str, stored: Layout, layout: Layout) -> None:
    if others := mismatches(stored, layout):
        raise CheckpointMismatch(
            f"The checkpoint of job {job} was made with {', '.join(others)}: "
            f"its state would be misread. {_way_out(job)}"
        )


def _way_out(job: str) -> str:
    return f"Put back what it was, or run `userflow rebuild --jobs {job}`."
