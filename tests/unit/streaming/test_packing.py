"""Buckets are equal in size for Spark too."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import polars as pl
import pytest

from streaming.packing import _spark_hash, bucket_labels, bucket_of, from_blob, to_blob


def test_labels_hash_as_spark_says() -> None:
    """Figures of `SELECT hash(0), hash(1), hash(42)` in Spark 4.2."""
    assert [_spark_hash(value) for value in (0, 1, 42)] == [933211791, -559580957, 29417773]


@pytest.mark.parametrize("buckets", [1, 2, 4, 6, 16, 60])
def test_every_number_of_partitions_that_divides_gets_equal_shares(buckets: int) -> None:
    labels = bucket_labels(buckets)
    assert len(set(labels)) == buckets
    for partitions in (n for n in range(1, buckets + 1) if buckets % n == 0):
        shares = Counter(_spark_hash(label) % partitions for label in labels)
        assert set(shares.values()) == {buckets // partitions}


def test_a_part_of_a_frame_carries_its_own_texts_only() -> None:
    texts = [sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(2000)]
    frame = pl.DataFrame(
        {"texts": [[text] for text in texts], "part": [number % 100 for number in range(2000)]}
    )
    parts = frame.partition_by("part")
    blobs = [to_blob(part) for part in parts]
    assert max(map(len, blobs)) < 4000
    assert [from_blob(blob).to_dicts() for blob in blobs] == [part.to_dicts() for part in parts]


def test_a_key_has_the_same_bucket_wherever_it_stands() -> None:
    keys = pl.Series(["a", "b", "a", "한국"])
    first, second = bucket_of(keys, 7), bucket_of(keys.reverse(), 7)
    assert first.to_list() == second.reverse().to_list() == [4, 4, 4, 6]
