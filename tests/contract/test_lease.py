"""Of two streams of a job one writes; when it is gone, so is its lease."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sinks_suite.stores import CLOCK, VIEWS, DrivenPostgres, epoch, expected, output

from infra.database import pipeline_conninfo
from streaming.sinks.lease import LeaseTaken
from streaming.sinks.postgres import PostgresEpochStore

pytestmark = pytest.mark.stack
OpenStore = Callable[[], PostgresEpochStore]


@pytest.fixture
def another(suite_table: str) -> Iterator[OpenStore]:
    opened = []

    def store() -> PostgresEpochStore:
        conninfo = pipeline_conninfo(suite_table)
        opened.append(PostgresEpochStore(conninfo, views=VIEWS, sleep=lambda _: None))
        return opened[-1]

    yield store
    for one in opened:
        one.close()


def test_a_second_stream_of_a_job_is_refused_and_told_who_has_it(
    postgres: PostgresEpochStore, another: OpenStore
) -> None:
    postgres.hold("suite")
    with pytest.raises(LeaseTaken, match=rf"suite is already run by process {os.getpid()} on \w+"):
        another().hold("suite")


def test_streams_of_other_jobs_are_not(postgres: PostgresEpochStore, another: OpenStore) -> None:
    postgres.hold("suite")
    another().hold("other")


def test_when_the_first_has_ended_the_second_takes_over(
    postgres: PostgresEpochStore, another: OpenStore
) -> None:
    postgres.hold("suite")
    postgres.close()
    another().hold("suite")


def test_who_has_lost_the_lease_writes_no_more(
    postgres: PostgresEpochStore, another: OpenStore, suite_table: str
) -> None:
    """Its connection breaks, another starts, and then it comes back with an epoch in its hands."""
    postgres.hold("suite")
    postgres.commit(epoch(0), output({"note": "first"}), CLOCK)
    assert postgres._open is not None
    with psycopg.connect(suite_table, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", [postgres._open.info.backend_pid])
    second = another()
    second.hold("suite")
    with pytest.raises(LeaseTaken):
        postgres.commit(epoch(1), output({"note": "ghost"}), CLOCK)
    second.commit(epoch(1), output({"note": "second"}), CLOCK)
    found = DrivenPostgres(second, suite_table).rows()
    assert found == expected(epoch(1), {"note": "second"})


def test_a_lost_connection_is_replaced_together_with_its_lease(
    postgres: PostgresEpochStore, another: OpenStore, suite_table: str
) -> None:
    postgres.hold("suite")
    assert postgres._open is not None
    with psycopg.connect(suite_table, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", [postgres._open.info.backend_pid])
    postgres.commit(epoch(0), output({"note": "a"}), CLOCK)
    with pytest.raises(LeaseTaken):
        another().hold("suite")
