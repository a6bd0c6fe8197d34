"""Kafka as the log of accepted events: idempotent, acknowledged by all replicas, with a deadline.

One thread serves the delivery reports. Each request waits for its own records, and no longer than
`answer_s`; after a miss the broker counts as away, and requests wait only `away_s` until one record
is delivered again. Their records stay queued for `QUEUED_MS`, so the first delivery after an outage
is what ends it: nothing has to be asked, and nobody has to be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from features.contracts.commerce import COMMERCE
from serving.collector.log import EventsAway, Outgoing

__all__ = ["KafkaEventLog"]

ANSWER_S, AWAY_S = 1.0, 0.25
QUEUED_MS = 5_000
LINGER_MS = 3
# The largest record that an input topic takes, with room for its header.
MESSAGE_BYTES = (8 << 20) + (64 << 10)
POLL_S = 0.1
CLOSE_S = 2.0
PROBE_S = 0.4
RECEIVED_AT = "received_at"


class Client(Protocol):
    """What is used of confluent-kafka's producer."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: str | None,
        *,
        on_delivery: Callable[[Any, Any], None],
        headers: list[tuple[str, str | bytes | None]],
    ) -> None: ...
    def poll(self, timeout: float) -> int: ...
    def flush(self, timeout: float) -> int: ...
    def list_topics(self, topic: str, timeout: float) -> Any: ...


def _connect(servers: str) -> Client:
    from confluent_kafka import Producer  # noqa: PLC0415 - loaded when used

    producer: Client = Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": LINGER_MS,
            "message.max.bytes": MESSAGE_BYTES,
            "message.timeout.ms": QUEUED_MS,
            # A full queue is answered at once: what waits in it is memory of ours.
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 64 << 10,
            "partitioner": "murmur2_random",
            "socket.timeout.ms": 10_000,
            "socket.nagle.disable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            # What is broken is said by the delivery that fails.
            "log_level": 0,
        }
    )
    return producer


class KafkaEventLog:
    """Appends from one event loop; nothing is connected before `start`."""

    def __init__(
        self,
        servers: str,
        *,
        connect: Callable[[str], Client] = _connect,
        answer_s: float = ANSWER_S,
        away_s: float = AWAY_S,
    ) -> None:
        self._servers = servers
        self._connect = connect
        self._answer_s, self._away_s = answer_s, away_s
        self._client: Client | None = None
        self._away = False
        self._closing = threading.Event()
        self._reports: threading.Thread | None = None

    async def start(self) -> None:
        """Connect in the background, so that the first request need not wait for it."""
        self._connected()

    async def append(self, records: Sequence[Outgoing]) -> None:
        """Write them in their order; returns when the broker has acknowledged each."""
        if not records:
            return
        batch = _Batch(asyncio.get_running_loop(), len(records), self._on_delivered)
        self._queue(records, batch)
        try:
            await asyncio.wait_for(batch.done, self._away_s if self._away else self._answer_s)
        except TimeoutError as error:
            self._away = True
            raise EventsAway("Kafka does not acknowledge: send the events again.") from error
        if batch.problem:
            self._away = True
            raise EventsAway(f"Kafka did not take the events ({batch.problem}): send them again.")

    async def answers(self) -> bool:
        """Whether a broker answers right now."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        try:
            await asyncio.to_thread(self._connected().list_topics, COMMERCE.topic, PROBE_S)
        except KafkaException:
            return False
        return True

    async def stop(self) -> None:
        """Deliver what is queued, and end the thread."""
        self._closing.set()
        if self._reports is not None:
            await asyncio.to_thread(self._reports.join)
        if self._client is not None:
            await asyncio.to_thread(self._client.flush, CLOSE_S)

    def _queue(self, records: Sequence[Outgoing], batch: _Batch) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415

        client = self._connected()
        try:
            for record in records:
                client.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=[(RECEIVED_AT, b"%d" % record.received_at_ms)],
                    on_delivery=batch.on_delivery,
                )
        except BufferError as error:
            raise EventsAway("More events come than Kafka takes: send them again.") from error
        except KafkaException as error:
            # A producer that has lost its sequence for good takes nothing more: the next is new.
            self._client = None
            raise EventsAway(f"Kafka did not take the events ({error.args[0].str()}).") from error

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._connect(self._servers)
        if self._reports is None:
            self._reports = threading.Thread(target=self._serve, name="deliveries", daemon=True)
            self._reports.start()
        return self._client

    def _serve(self) -> None:
        while not self._closing.is_set():
            if (client := self._client) is None:
                self._closing.wait(POLL_S)
            else:
                client.poll(POLL_S)

    def _on_delivered(self) -> None:
        self._away = False


class _Batch:
    """The records of one request: `done` ends with the last report, `problem` is the first one's.

    Reports come in the thread that serves them.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, count: int, on_delivered: Callable[[], None]
    ) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.problem = ""
        self._loop = loop
        self._left = count
        self._on_delivered = on_delivered

    def on_delivery(self, error: Any, message: Any) -> None:
        """What the producer calls for each record."""
        del message
        if error is None:
            self._on_delivered()
        else:
            self.problem = self.problem or error.str()
        self._left -= 1
        if not self._left:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
