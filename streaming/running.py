"""A job that runs: its query, and what happens when that fails.

A query that fails is started again in the same process, after a pause that grows, and only once all
services answer: an outage is waited out however long it takes. A failure of another kind is tried a
few times without an epoch in between, then raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from pyspark.sql.streaming.query import StreamingQuery

from streaming.epochs import EpochRunner, LostEpoch
from streaming.outages import ServiceWatch
from streaming.query import Plan
from streaming.sinks.lease import LeaseTaken

__all__ = ["Restarted", "Running"]

# The name of a job -> nothing.
Restarted = Callable[[str], None]
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
# No other attempt would end differently.
FINAL = (LeaseTaken, LostEpoch)
FINISH_S = 60.0
log = structlog.get_logger()


class Running:
    """A plan with the runner that its query calls."""

    def __init__(
        self,
        plan: Plan,
        runner: EpochRunner,
        watch: ServiceWatch,
        restarted: Restarted = lambda _: None,
    ) -> None:
        self.plan = plan
        self.runner = runner
        self._watch = watch
        self._restarted = restarted
        self._start: Callable[[], StreamingQuery] = plan.start
        self._query: StreamingQuery | None = None
        self._failures = 0
        self._epochs = 0
        self._again_at: float | None = None

    @property
    def name(self) -> str:
        """The job's."""
        return self.plan.job.name

    def start(self) -> None:
        """Run until stopped."""
        self._begin(self.plan.start)

    def drain(self) -> None:
        """Run until what is there now has been read."""
        self._begin(self.plan.drain)

    def has_ended(self) -> bool:
        """Whether the query has done what it should; starts one again that failed, when it is time.

        Raises what it failed of when that is no use.
        """
        query = self._query
        if query is None or query.isActive:
            return False
        failure = query.exception()
        if failure is None:
            return True
        if self._again_at is None:
            self._again_at = time.monotonic() + self._pause(failure)
        elif time.monotonic() >= self._again_at and not self._watch.look():
            log.info("starting_again", job=self.name, failures=self._failures)
            self._restarted(self.name)
            self._begin(self._start)
        return False

    def stop(self) -> None:
        """Between epochs: a batch that has begun is finished, so that nothing is done twice."""
        if self.runner.busy.acquire(timeout=FINISH_S):
            self.runner.busy.release()
        if self._query is not None:
            self._query.stop()

    def _begin(self, start: Callable[[], StreamingQuery]) -> None:
        self._start, self._again_at = start, None
        query = self._query = start()
        self.runner.state_bytes = lambda: _state_bytes(query)

    def _pause(self, failure: Exception) -> float:
        """How long to wait before the next try; raises when there should be none."""
        if isinstance(self.runner.failure, FINAL):
            raise self.runner.failure
        done = self.runner.totals.epochs
        # What an outage breaks says nothing about what comes after it.
        is_new = done > self._epochs or bool(self._watch.look())
        self._failures, self._epochs = 0 if is_new else self._failures + 1, done
        if self._failures >= len(PAUSES_S):
            raise failure
        pause = PAUSES_S[self._failures]
        log.warning("query_failed", job=self.name, reason=self._reason(failure), again_in_s=pause)
        return pause

    def _reason(self, failure: Exception) -> str:
        """Of what an epoch has failed of only the kind: the rest may hold personal data."""
        inner = self.runner.failure
        return type(inner).__name__ if inner else str(failure).strip().splitlines()[0]


def _state_bytes(query: StreamingQuery) -> int | None:
    progress = query.lastProgress
    operators = progress["stateOperators"] if progress else []
    return sum(operator["memoryUsedBytes"] for operator in operators) if operators else None
