"""A running stack for as long as a block lasts, and what stands in its topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from infra.endpoints import Endpoints
from infra.initialise import initialise
from infra.settings import Settings
from infra.stack.stack import Stack

__all__ = ["consume", "running", "settings_for"]


def settings_for(home: Path) -> Settings:
    """Settings of an embedded stack, whatever the developer's own environment says."""
    return Settings(home=home, lake="", kafka=None, postgres=None, redis=None, start_timeout=120)


@contextmanager
def running(home: Path) -> Iterator[Endpoints]:
    """Kafka, PostgreSQL and Redis, running and initialised."""
    settings = settings_for(home)
    services = Stack(settings)
    try:
        endpoints = services.up()
        initialise(endpoints, settings, services.credentials)
        yield endpoints
    finally:
        services.down()


def consume(stack: Endpoints, topic: str) -> list[Any]:
    """Every message of a topic, those of one key in their order."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.kafka,
            "group.id": "e2e",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8 << 20,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    messages, ended = [], 0
    while ended < len(partitions):
        for message in consumer.consume(500, timeout=0.5):
            if message.error():
                ended += 1
            else:
                messages.append(message)
    consumer.close()
    return messages
