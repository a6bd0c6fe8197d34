"""Kafka as a log with a deadline, against a broker that does what a test says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from serving.collector.kafka import KafkaEventLog
from serving.collector.log import EventLog, EventsAway, MemoryEventLog, Outgoing

RECORD = Outgoing("user-events", "s", b"{}", 1_767_225_600_000)


class Broker:
    """A client whose deliveries wait until the broker is there."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.refuses: Callable[[], None] = lambda: None
        self.error: KafkaError | None = None
        self.produced: list[dict[str, Any]] = []
        self._waiting: list[Callable[[Any, Any], None]] = []

    def produce(self, topic: str, **options: Any) -> None:
        self.refuses()
        self._waiting.append(options.pop("on_delivery"))
        self.produced.append({"topic": topic, **options})

    def poll(self, timeout: float) -> int:
        if self.is_there.wait(min(timeout, 0.01)):
            while self._waiting:
                self._waiting.pop(0)(self.error, None)
        return 0

    def flush(self, timeout: float) -> int:
        return self.poll(timeout)

    def list_topics(self, topic: str, timeout: float) -> object:
        self.refuses()
        return topic, timeout


@pytest.fixture
def broker() -> Broker:
    return Broker()


def run(broker: Broker, work: Callable[[KafkaEventLog], Any]) -> Any:
    async def all_of_it() -> Any:
        log = KafkaEventLog("nowhere", connect=lambda _: broker, answer_s=0.15, away_s=0.05)
        await log.start()
        try:
            return await work(log)
        finally:
            await log.stop()

    return asyncio.run(all_of_it())


def test_an_append_returns_when_all_are_acknowledged(broker: Broker) -> None:
    broker.is_there.set()

    async def work(log: EventLog) -> None:
        await asyncio.gather(log.append([RECORD] * 3), log.append([RECORD]), log.append([]))

    run(broker, work)
    assert len(broker.produced) == 4
    assert broker.produced[0] == {
        "topic": "user-events",
        "value": b"{}",
        "key": "s",
        "headers": [("received_at", b"1767225600000")],
    }


def test_a_broker_that_is_away_is_told_in_time_and_sooner_the_next_time(broker: Broker) -> None:
    async def seconds(log: EventLog) -> float:
        began = time.monotonic()
        with pytest.raises(EventsAway) as away:
            await log.append([RECORD])
        assert away.value.headers == {"Retry-After": "1"}
        return time.monotonic() - began

    async def work(log: EventLog) -> tuple[float, float]:
        return await seconds(log), await seconds(log)

    first, second = run(broker, work)
    assert 0.14 < first < 1
    assert 0.04 < second < 0.12


def test_it_goes_on_by_itself_when_the_broker_is_back(broker: Broker) -> None:
    async def work(log: EventLog) -> None:
        with pytest.raises(EventsAway):
            await log.append([RECORD])
        broker.is_there.set()
        await asyncio.sleep(0.03)  # what was queued is delivered, which ends the outage
        await log.append([RECORD])

    run(broker, work)
    assert len(broker.produced) == 2


def test_a_delivery_that_fails_is_told_with_its_reason(broker: Broker) -> None:
    broker.is_there.set()
    broker.error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)

    async def work(log: EventLog) -> None:
        with pytest.raises(EventsAway, match="uthorization"):
            await log.append([RECORD])

    run(broker, work)


def test_a_full_queue_is_told_at_once(broker: Broker) -> None:
    def full() -> None:
        raise BufferError

    broker.refuses = full

    async def work(log: EventLog) -> None:
        with pytest.raises(EventsAway, match="More events come"):
            await log.append([RECORD])

    run(broker, work)


def test_a_producer_that_is_done_for_is_replaced() -> None:
    made: list[Broker] = []

    def fatal() -> None:
        raise KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER))

    def connect(_: str) -> Broker:
        made.append(Broker())
        made[-1].is_there.set()
        return made[-1]

    async def work() -> None:
        log = KafkaEventLog("nowhere", connect=connect)
        await log.start()
        made[0].refuses = fatal
        with pytest.raises(EventsAway):
            await log.append([RECORD])
        await log.append([RECORD])
        await log.stop()

    asyncio.run(work())
    assert [len(one.produced) for one in made] == [0, 1]


def test_whether_a_broker_answers_is_asked(broker: Broker) -> None:
    def away() -> None:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))

    async def work(log: KafkaEventLog) -> tuple[bool, bool]:
        first = await log.answers()
        broker.refuses = away
        return first, await log.answers()

    assert run(broker, work) == (True, False)


def test_the_twin_in_memory_keeps_the_same_promise() -> None:
    log = MemoryEventLog()
    asyncio.run(log.append([RECORD]))
    assert log.records == [RECORD]
    log.away = True
    with pytest.raises(EventsAway):
        asyncio.run(log.append([RECORD]))
