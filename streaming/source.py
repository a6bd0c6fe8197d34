"""Reading Kafka: the source of a job's query, and how much of it is still unread."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, TopicPartition
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

__all__ = ["EndOffsets", "end_offsets", "read_kafka"]

# topics -> `topic/partition` -> the offset that the next record will get
EndOffsets = Callable[[Iterable[str]], dict[str, int]]
TIMEOUT = 10.0


def read_kafka(
    spark: SparkSession, brokers: str, topics: Iterable[str], max_offsets: int
) -> DataFrame:
    """Kafka records of `topics` from the first one on, at most `max_offsets` in a batch."""
    received_at = F.expr(
        "if(headers is null, null, "
        "cast(element_at(filter(headers, h -> h.key = 'received_at'), 1).value as string))"
    )
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", brokers)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", max_offsets)
        # The default of 500 costs a third of the time that reading takes.
        .option("kafka.max.poll.records", 5000)
        # A fetch that asks ahead of the end is answered after this time; until then its
        # connection takes no other, so that the next batch would wait for half a second.
        .option("kafka.fetch.max.wait.ms", 10)
        .load()
        .select(
            "topic",
            "partition",
            "offset",
            "timestamp",
            "key",
            "value",
            received_at.alias("received_at"),
        )
    )


def end_offsets(brokers: str) -> EndOffsets:
    """Asks the broker where the topics end."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "userflow-end-offsets",
            "log_level": 0,  # a broker that is down is told by the call that fails
        }
    )

    def ends(topics: Iterable[str]) -> dict[str, int]:
        found = {}
        for topic in topics:
            partitions = consumer.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions
            for partition in partitions:
                _, end = consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=TIMEOUT
                )
                found[f"{topic}/{partition}"] = end
        return found

    return ends
