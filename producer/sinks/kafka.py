"""Kafka, by two clients: confluent-kafka for speed, kafka-python as the simple path.

Both are idempotent with acks=all and place a key on the partition where Java clients place it. The
figures that chose the default are in docs/howto/simulate.md. Neither sets record timestamps: the
time of receipt is the broker's, or the header `received_at` of what is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from producer.errors import DeliveryFailed
from producer.sent import Sent

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

__all__ = ["CLIENTS", "KafkaPythonSink", "KafkaSink"]

MESSAGE_BYTES = 8 << 20
GIVE_UP_S = 30
CONNECT_S = 10
WAIT_S = 0.1
# Long enough to fill batches, far below what a reader of the features could notice.
LINGER_MS = 25


def _headers(sent: Sent) -> list[tuple[str, Any]]:
    at = sent.received_at_ms
    return [] if at is None else [("received_at", b"%d" % at)]


class KafkaSink:
    """confluent-kafka: batches, compresses and retries in its own threads."""

    def __init__(self, servers: str, *, give_up_s: float = GIVE_UP_S) -> None:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - loaded when used

        self.refused = 0
        self._give_up_s = give_up_s
        self._failed = 0
        self._first_failure = ""
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": LINGER_MS,
                "batch.size": 1 << 20,
                "message.max.bytes": MESSAGE_BYTES,
                "message.timeout.ms": round(give_up_s * 1000),
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 256 << 10,
                "partitioner": "murmur2_random",
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
                # Errors of single brokers heal; what stays broken fails the delivery below.
                "log_level": 0,
            }
        )
        try:
            # Without this a wrong address would only show when the first record times out.
            self._producer.list_topics(timeout=CONNECT_S)
        except KafkaException as error:
            raise _no_answer(servers, error.args[0].str()) from error

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        self._failed += 1
        self._first_failure = self._first_failure or f"{message.topic()}: {error.str()}"

    def send(self, batch: Sequence[Sent]) -> None:
        """Queue the batch; blocks while the queue is full."""
        for sent in batch:
            self._produce(sent)
        self._producer.poll(0)
        self._raise_failures()

    def _produce(self, sent: Sent) -> None:
        while True:
            try:
                return self._producer.produce(
                    sent.topic, value=sent.value, key=sent.key, headers=_headers(sent)
                )
            except BufferError:
                # Back-pressure: the queue is full until the broker has taken some of it.
                self._producer.poll(WAIT_S)
                self._raise_failures()

    def flush(self) -> None:
        """Wait for the last acknowledgement."""
        unsent = self._producer.flush(self._give_up_s + 5)
        self._raise_failures()
        if unsent:
            raise DeliveryFailed(f"Kafka has not acknowledged {unsent:,} records.")

    def _raise_failures(self) -> None:
        if self._failed:
            raise _not_delivered(self._failed, self._first_failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.flush()
        else:
            # Nobody waits for what a failed run still has in its queue.
            self._producer.purge()


class KafkaPythonSink:
    """kafka-python: pure Python, for small volumes and for reading how it is done."""

    def __init__(self, servers: str) -> None:
        from kafka import KafkaProducer  # type: ignore[import-untyped] # noqa: PLC0415
        from kafka.errors import KafkaError  # type: ignore[import-untyped] # noqa: PLC0415

        self.refused = 0
        self._failures: list[BaseException] = []
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=LINGER_MS,
                batch_size=1 << 18,
                max_request_size=MESSAGE_BYTES,
                bootstrap_timeout_ms=int(CONNECT_S * 1000),
                delivery_timeout_ms=GIVE_UP_S * 1000,
                request_timeout_ms=GIVE_UP_S * 500,
            )
        except KafkaError as error:
            raise _no_answer(servers, str(error)) from error

    def send(self, batch: Sequence[Sent]) -> None:
        """Queue the batch; blocks while the buffer is full."""
        for sent in batch:
            future = self._producer.send(
                sent.topic, value=sent.value, key=sent.key, headers=_headers(sent)
            )
            future.add_errback(self._failures.append)
        self._raise_failures()

    def flush(self) -> None:
        """Wait for the last acknowledgement."""
        self._producer.flush(timeout=GIVE_UP_S)
        self._raise_failures()

    def _raise_failures(self) -> None:
        if self._failures:
            raise _not_delivered(len(self._failures), str(self._failures[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._producer.close(timeout=1)


def _no_answer(servers: str, problem: str) -> DeliveryFailed:
    return DeliveryFailed(f"Kafka at {servers} does not answer: {problem}.")


def _not_delivered(count: int, first: str) -> DeliveryFailed:
    return DeliveryFailed(
        f"Kafka did not take {count:,} records, the first because of {first}. "
        "Is the broker up (`userflow status`) and the topic created (`userflow init`)?"
    )


CLIENTS: dict[str, Any] = {"confluent": KafkaSink, "kafka-python": KafkaPythonSink}
