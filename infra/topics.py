"""Create the declared topics on the cluster at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    NewTopic,
)

from infra.errors import ServiceError
from infra.stack.probes import SILENT

__all__ = ["TopicReport", "create_topics", "topic_config"]

SECONDS = 30
REPLICAS = 3


class Topic(Protocol):
    """What a declared topic says (`features.topics`)."""

    @property
    def name(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def embedded_partitions(self) -> int: ...
    @property
    def cleanup(self) -> str: ...
    @property
    def retention_ms(self) -> int | None: ...
    @property
    def max_message_bytes(self) -> int | None: ...
    @property
    def is_input(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReport:
    """Names by what happened to them, and what the declaration says but the cluster does not."""

    created: tuple[str, ...]
    kept: tuple[str, ...]
    warnings: tuple[str, ...]


def create_topics(address: str, topics: Iterable[Topic], *, is_external: bool) -> TopicReport:
    """Create what is missing; a topic that exists is left as it is, and differences reported."""
    admin = AdminClient({"bootstrap.servers": address, **SILENT})
    declared = {topic.name: topic for topic in topics}
    try:
        found = admin.list_topics(timeout=SECONDS)
    except KafkaException as error:
        raise ServiceError(f"Kafka at {address} does not answer: {error.args[0].str()}.") from error
    replicas = REPLICAS if is_external and len(found.brokers) >= REPLICAS else 1
    wanted = [
        _new_topic(topic, _partitions(topic, is_external=is_external), replicas)
        for name, topic in declared.items()
        if name not in found.topics
    ]
    created = _create(admin, wanted)
    return TopicReport(
        created=tuple(created),
        kept=tuple(name for name in declared if name not in created),
        warnings=tuple(_differences(declared, found, is_external=is_external)),
    )


def topic_config(topic: Topic, replicas: int = 1) -> dict[str, str]:
    """The broker's settings for one topic."""
    config = {"cleanup.policy": topic.cleanup}
    if topic.retention_ms is not None:
        config["retention.ms"] = str(topic.retention_ms)
    if topic.max_message_bytes is not None:
        config["max.message.bytes"] = str(topic.max_message_bytes)
    if topic.is_input:
        # When an event arrived is the broker's word, not the sender's.
        config["message.timestamp.type"] = "LogAppendTime"
    if replicas >= REPLICAS:
        config["min.insync.replicas"] = "2"
    return config


def _partitions(topic: Topic, *, is_external: bool) -> int:
    return topic.partitions if is_external else topic.embedded_partitions


def _new_topic(topic: Topic, partitions: int, replicas: int) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=partitions,
        replication_factor=replicas,
        config=topic_config(topic, replicas),
    )


def _create(admin: AdminClient, wanted: list[NewTopic]) -> list[str]:
    created = []
    futures = admin.create_topics(wanted, operation_timeout=SECONDS) if wanted else {}
    for name, future in futures.items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            # Another init was faster: then the topic is there, which is all we want.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ServiceError(
                    f"Topic {name} was not created: {error.args[0].str()}"
                ) from error
    return created


def _differences(
    declared: dict[str, Topic], found: ClusterMetadata, *, is_external: bool
) -> list[str]:
    """Partitions are never added: that would send a key's later events to another partition."""
    differences = []
    for name in declared.keys() & found.topics.keys():
        actual = len(found.topics[name].partitions)
        expected = _partitions(declared[name], is_external=is_external)
        if actual != expected:
            differences.append(f"topic {name} has {actual} partitions, {expected} are declared")
    return sorted(differences)
