"""What an epoch refuses before it has read anything."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from features.dimensions import no_dimensions
from streaming.epochs import EpochRunner, LostEpoch
from streaming.jobs import JOBS
from streaming.sinks.memory import ClockStore


def test_a_checkpoint_whose_epochs_the_store_has_lost_does_not_start_again_from_nothing() -> None:
    runner = EpochRunner(
        JOBS["webtoon"],
        store=ClockStore(),
        sinks=[],
        end_offsets=lambda _: {},
        dimensions=no_dimensions(),
        max_offsets=10,
        is_replay=False,
    )
    batch = MagicMock()  # nothing of it is read before the store is asked
    with pytest.raises(LostEpoch, match=r"Epoch 6 of job webtoon is missing"):
        runner(batch, 7)
