"""How far the streams are behind: asked of the broker when somebody wants to know.

An epoch asks only when it was full. Here the broker is asked at each scrape, in the scrape's own
thread and for a bounded time, so that no epoch waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from confluent_kafka import KafkaException

from streaming.jobs import Job
from streaming.metrics.values import Family, Values
from streaming.ports import Clock
from streaming.source import EndOffsets

__all__ = ["Lag"]


class Lag:
    """A collector of prometheus-client. `clocks`: by job, how far it has read; a job that has had
    no epoch yet is left out: the checkpoint knows, nobody else.
    """

    def __init__(
        self, jobs: Iterable[Job], clocks: Callable[[], Mapping[str, Clock]], ends: EndOffsets
    ) -> None:
        self._topics = {job.name: job.topics for job in jobs}
        self._clocks = clocks
        self._ends = ends

    def collect(self) -> Iterator[Family]:
        """The lag of each partition, and whether the broker told."""
        values, clocks = Values(), self._clocks()
        try:
            ends = self._ends([topic for topics in self._topics.values() for topic in topics])
        except KafkaException:
            values.put("userflow_broker_up", 0)
            return values.collect()
        values.put("userflow_broker_up", 1)
        for job, clock in clocks.items():
            for place, end in ends.items():
                topic, _, partition = place.rpartition("/")
                if topic in self._topics[job]:
                    unread = max(0, end - clock.offsets.get(place, 0))
                    values.put("userflow_lag_records", unread, job, topic, partition)
        return values.collect()
