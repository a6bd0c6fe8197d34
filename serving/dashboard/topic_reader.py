"""Follows the output topics from two hours ago on, and tells how far the input topics have grown.

No consumer group: each dashboard reads everything for itself and commits nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

__all__ = ["TopicReader", "end_offsets", "explain_kafka"]

BACK_S = 2.25 * 3600
# Of a busy topic only the newest are read: more would not be kept.
MOST_BACK = 20_000
BATCH = 2_000
WAIT_S = 0.5
ASK_S = 5.0
LOOK_AGAIN_S = 10.0
SETTINGS = {
    "group.id": "userflow-dashboard",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "log_level": 0,  # a broker that is away is told by the page
    "reconnect.backoff.max.ms": 2_000,
    "topic.metadata.refresh.interval.ms": 10_000,
    # Memory for what was fetched and not yet taken.
    "queued.max.messages.kbytes": 8_192,
}
AWAY = "Kafka does not answer. `userflow status` tells more, `userflow up` starts it."
ENDED = "Reading the topics has failed; the log says why."
NO_TOPICS = "The output topics are not there yet: run `userflow init`."


class NoTopics(RuntimeError):
    """`userflow init` has not run."""


def explain_kafka(error: Exception) -> str | None:
    """A sentence for what may happen to a broker."""
    if isinstance(error, NoTopics):
        return NO_TOPICS
    return AWAY if isinstance(error, KafkaException) else None


class TopicReader:
    """Hands each message of the topics to `take` in a thread of its own, and never gives up."""

    def __init__(
        self, brokers: str, topics: Iterable[str], take: Callable[[str, bytes | None], None]
    ) -> None:
        self._brokers = brokers
        self._topics = tuple(topics)
        self._take = take
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topics", daemon=True)
        self._problem: str | None = None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout: float = 5) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join(timeout)

    @property
    def problem(self) -> str | None:
        """Why nothing is read now; None while something may be."""
        if self._thread.ident is not None and not self._thread.is_alive():
            return None if self._ending.is_set() else ENDED
        return self._problem

    def _run(self) -> None:
        while not self._ending.is_set():
            consumer = Consumer({"bootstrap.servers": self._brokers, **SETTINGS})
            try:
                self._follow(consumer)
            except (KafkaException, NoTopics) as error:
                self._problem = explain_kafka(error)
                self._ending.wait(1.0)
            finally:
                consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        """Read until the end, or until partitions have come that were not there."""
        known = _partitions(consumer, self._topics)
        since_ms = round((time.time() - BACK_S) * 1000)
        consumer.assign(list(_starts(consumer, known, since_ms)))
        self._problem = None
        looked_at = time.monotonic()
        while not self._ending.is_set():
            for message in consumer.consume(BATCH, timeout=WAIT_S):
                self._handle(message)
            if time.monotonic() - looked_at > LOOK_AGAIN_S:
                # Also notices a broker that has gone away: reading alone only waits.
                if _partitions(consumer, self._topics) != known:
                    return
                looked_at = time.monotonic()
                self._problem = None

    def _handle(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._problem = None
            self._take(message.topic() or "", message.value())
        elif error.code() < 0:  # the client's own: it goes on trying
            self._problem = AWAY
        elif not error.retriable():
            raise KafkaException(error)


def _partitions(consumer: Consumer, topics: Iterable[str]) -> set[tuple[str, int]]:
    found = consumer.list_topics(timeout=ASK_S).topics
    known = {
        (topic, number) for topic in topics if topic in found for number in found[topic].partitions
    }
    if not known:
        raise NoTopics
    return known


def _starts(
    consumer: Consumer, known: Iterable[tuple[str, int]], since_ms: int
) -> Iterator[TopicPartition]:
    """The first message since then, but not further back than what is kept.

    Where nothing came since then a topic is read from its end, of before the question: what comes
    meanwhile is not passed over.
    """
    places = [TopicPartition(topic, number, since_ms) for topic, number in sorted(known)]
    bounds = {
        (place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=ASK_S)
        for place in places
    }
    for place in consumer.offsets_for_times(places, timeout=ASK_S):
        low, high = bounds[place.topic, place.partition]
        since = place.offset if place.offset >= 0 else high
        yield TopicPartition(place.topic, place.partition, max(since, low, high - MOST_BACK))


def end_offsets(brokers: str) -> Callable[[Iterable[str]], Mapping[str, int]]:
    """By `topic/partition`, where topics end; the function raises KafkaException."""
    client = AdminClient({"bootstrap.servers": brokers, "log_level": 0})

    def ends(places: Iterable[str]) -> Mapping[str, int]:
        wanted = {}
        for place in places:
            topic, _, number = place.rpartition("/")
            wanted[TopicPartition(topic, int(number))] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        if not wanted:
            return {}
        found = {}
        for at, one in client.list_offsets(wanted, request_timeout=ASK_S).items():
            try:
                found[f"{at.topic}/{at.partition}"] = one.result().offset
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return found

    return ends
