"""Reading Kafka: the source of a job's query, and how much of it is still unread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

__all__ = ["EndOffsets", "end_offsets", "offsets_json", "read_kafka"]

# topics -> `topic/partition` -> the offset that the next record will get
EndOffsets = Callable[[Iterable[str]], dict[str, int]]
TIMEOUT = 10.0
EARLIEST = -2  # as Spark spells it
# Records of ours have this header and no other. Spark compiles all but the search: a tenth of the
# time that reading takes.
RECEIVED_AT = """
    cast(
        if(
            get(headers, 0).key = 'received_at',
            get(headers, 0).value,
            get(filter(headers, h -> h.key = 'received_at'), 0).value
        ) as string
    )
"""


def read_kafka(
    spark: SparkSession,
    brokers: str,
    topics: Iterable[str],
    *,
    wakers: Iterable[str],
    max_offsets: int,
    begin: str = "earliest",
) -> DataFrame:
    """Kafka records of `topics`, at most `max_offsets` in a batch; `begin`: from where on a new
    checkpoint reads them, as Spark takes it (`offsets_json`).

    A record of `wakers` makes a batch of its own where the topics have nothing new.
    """
    # A task costs more than a partition: one for each core reads its share of them in turn.
    # Wakers come to those shares: as one more partition they would make them unequal, and with a
    # task of their own the others of the stage would wait for a core.
    tasks = spark.sparkContext.defaultParallelism
    records = _subscribe(spark, brokers, topics, max_offsets, begin).coalesce(tasks)
    for topic in wakers:
        records = records.union(_subscribe(spark, brokers, [topic], max_offsets, "earliest"))
    return records.coalesce(tasks)


def _subscribe(
    spark: SparkSession, brokers: str, topics: Iterable[str], max_offsets: int, begin: str
) -> DataFrame:
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", brokers)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", begin)
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", max_offsets)
        # The default of 500 costs a third of the time that reading takes.
        .option("kafka.max.poll.records", 5000)
        # A fetch that asks ahead of the end is answered after this time; until then its
        # connection takes no other. With the default the next batch would wait for half a second,
        # with 10 ms it waited for 10 in front of each partition.
        .option("kafka.fetch.max.wait.ms", 1)
        .load()
        .select(
            "topic",
            "partition",
            "offset",
            "timestamp",
            "key",
            "value",
            F.expr(RECEIVED_AT).alias("received_at"),
        )
    )


def offsets_json(places: Iterable[str], read: Mapping[str, int]) -> str:
    """Where Spark begins: the next offset of each `topic/partition`, or its first record's."""
    by_topic: dict[str, dict[str, int]] = {}
    for place in places:
        topic, _, partition = place.rpartition("/")
        by_topic.setdefault(topic, {})[partition] = read.get(place, EARLIEST)
    return json.dumps(by_topic)


def end_offsets(brokers: str, *, timeout: float = TIMEOUT) -> EndOffsets:
    """Asks the broker where the topics end; raises KafkaException after about `timeout` seconds."""
    client = AdminClient(
        {
            "bootstrap.servers": brokers,
            "log_level": 0,  # a broker that is down is told by the call that fails
        }
    )

    def ends(topics: Iterable[str]) -> dict[str, int]:
        deadline = time.monotonic() + timeout

        def left() -> float:
            return max(0.1, deadline - time.monotonic())

        wanted = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in topics
            for partition in client.list_topics(topic, timeout=left()).topics[topic].partitions
        }
        found = client.list_offsets(wanted, request_timeout=left()) if wanted else {}
        return {f"{at.topic}/{at.partition}": one.result().offset for at, one in found.items()}

    return ends
