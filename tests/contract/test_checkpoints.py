"""Which checkpoint a job goes on with is on record, and a wrong one is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sinks_suite.stores import CLOCK, output

from infra.checkpoints import (
    Building,
    Checkpoint,
    begin_rebuild,
    finish_rebuild,
    open_checkpoint,
)
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import CheckpointMismatch
from streaming.ports import Epoch
from streaming.sinks.postgres import PostgresEpochStore

pytestmark = pytest.mark.stack
LAYOUT = {"buckets": 2, "views": {"v": {"version": 1}}}


@pytest.fixture
def connection(stack: Endpoints) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(pipeline_conninfo(stack.postgres), autocommit=True) as connected:
        yield connected


@pytest.fixture
def job() -> str:
    return f"job-{uuid4().hex[:8]}"


def opened(
    connection: psycopg.Connection[Any], job: str, layout: Any, *, found: str | None = "c1"
) -> Checkpoint:
    return open_checkpoint(connection, job, layout, root="/root", id_of=lambda _: found)


def commit(
    postgres: PostgresEpochStore,
    job: str,
    *,
    generation: int = 1,
    number: int = 3,
    checkpoint: str = "c1",
) -> None:
    epoch = Epoch(
        job=job,
        checkpoint_id=checkpoint,
        number=number,
        generation=generation,
        committed_at_us=1_000_000,
    )
    postgres.commit(epoch, output(), CLOCK)


def test_the_first_start_makes_generation_1(connection: psycopg.Connection[Any], job: str) -> None:
    wanted = Checkpoint(generation=1, place=f"/root/{job}")
    assert opened(connection, job, LAYOUT, found=None) == wanted
    # Nothing is in it yet, so nothing can be misread.
    assert opened(connection, job, {"buckets": 4}, found=None) == wanted


def test_a_home_from_before_the_table_is_taken_over(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, job: str
) -> None:
    commit(postgres, job)
    assert opened(connection, job, LAYOUT).generation == 1
    with pytest.raises(CheckpointMismatch):
        opened(connection, job, {**LAYOUT, "buckets": 4})


def test_another_layout_is_refused_in_one_sentence_that_says_what_to_do(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, job: str
) -> None:
    opened(connection, job, LAYOUT)
    commit(postgres, job)
    with pytest.raises(CheckpointMismatch) as refused:
        opened(connection, job, {**LAYOUT, "buckets": 4})
    assert str(refused.value) == (
        f"The checkpoint of job {job} was made with buckets 2 (now 4): its state would be misread. "
        f"Put back what it was, or run `userflow rebuild --jobs {job}`."
    )
    assert opened(connection, job, LAYOUT).generation == 1  # it left no trace


def test_what_is_gained_is_allowed_and_then_on_record(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, job: str
) -> None:
    opened(connection, job, LAYOUT)
    commit(postgres, job)
    gained = {**LAYOUT, "views": {"v": {"version": 1}, "w": {"version": 1}}}
    opened(connection, job, gained)
    with pytest.raises(CheckpointMismatch, match="views w version 1"):
        opened(connection, job, {**gained, "views": {"w": {"version": 2}}})


@pytest.mark.parametrize("found", [None, "c2"])
def test_a_checkpoint_that_is_gone_or_another_one_is_refused(
    connection: psycopg.Connection[Any],
    postgres: PostgresEpochStore,
    job: str,
    found: str | None,
) -> None:
    opened(connection, job, LAYOUT)
    commit(postgres, job)
    with pytest.raises(CheckpointMismatch, match="but the stores hold what c1 has written"):
        opened(connection, job, LAYOUT, found=found)


def test_a_rebuilt_one_takes_over_with_the_epoch_that_replaces_the_rows(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, job: str
) -> None:
    other = {**LAYOUT, "buckets": 8}
    opened(connection, job, LAYOUT)
    commit(postgres, job)
    new = Building(2, f"/root/{job}-g2", has_switched=False)
    assert begin_rebuild(connection, job, other, root="/root") == new
    assert begin_rebuild(connection, job, other, root="/root") == new  # the first one died
    assert opened(connection, job, LAYOUT).generation == 1  # nothing has changed yet

    commit(postgres, job, generation=2, number=-1, checkpoint="c2")
    with pytest.raises(CheckpointMismatch, match="was interrupted"):
        opened(connection, job, other)
    assert begin_rebuild(connection, job, other, root="/root").has_switched
    finish_rebuild(connection, job, 2)
    assert opened(connection, job, other, found="c2") == Checkpoint(2, new.place, is_seeded=True)
    with pytest.raises(CheckpointMismatch):
        opened(connection, job, LAYOUT, found="c2")


def test_the_seed_is_given_until_the_first_batch_is_committed_for_sure(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, job: str
) -> None:
    opened(connection, job, LAYOUT)
    begin_rebuild(connection, job, LAYOUT, root="/root")
    finish_rebuild(connection, job, 2)
    seeded = []
    for number in (-1, 0, 1):
        commit(postgres, job, generation=2, number=number)
        seeded.append(opened(connection, job, LAYOUT).is_seeded)
    assert seeded == [True, True, False]


@pytest.fixture
def misfit(
    connection: psycopg.Connection[Any], postgres: PostgresEpochStore, stack: Endpoints
) -> Iterator[str]:
    """A job of ours whose checkpoint was made with other buckets."""
    opened(connection, "sources", {"buckets": 3}, found=None)
    commit(postgres, "sources")
    yield "sources"
    with psycopg.connect(stack.postgres) as owner:
        for table in ("stream_checkpoints", "stream_epochs"):
            named = sql.Identifier("ops", table)
            owner.execute(sql.SQL("DELETE FROM {} WHERE job = 'sources'").format(named))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("more", [[], ["--supervise"]])
def test_a_stream_that_is_refused_ends_with_its_sentence_and_is_not_tried_again(
    misfit: str, stack: Endpoints, tmp_path: Path, more: list[str]
) -> None:
    stack.write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "infra", "stream", "--jobs", misfit, *more],
        env={**os.environ, "USERFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 3, done.stderr
    assert "was made with buckets 3 (now " in done.stderr
    assert "userflow rebuild --jobs sources" in done.stderr
    assert done.stderr.count("Error: ") == 1
    assert not (tmp_path / "spark").exists(), "Spark need not start for it"
