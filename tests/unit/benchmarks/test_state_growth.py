"""Idle keys: events that the contract takes, one for each key, before the log begins."""

from __future__ import annotations

import polars as pl
import pytest

from benchmarks.logs import START_US
from benchmarks.state_growth import SPREAD_US, live_keys
from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.views import VIEWS
from streaming.jobs import JOBS


@pytest.mark.parametrize("job", ["webtoon", "commerce"])
def test_each_idle_key_is_one_accepted_event(job: str) -> None:
    sent = list(live_keys(job, 500))
    received = pl.Series([(one.received_at_ms or 0) * 1000 for one in sent], dtype=pl.Int64)
    decoded = Decoder(CONTRACTS[sent[0].topic]).decode([one.value for one in sent], received)
    view = VIEWS[JOBS[job].views[0]]
    at = decoded.events["event_at"].dt.timestamp("us")
    assert decoded.rejects.is_empty()
    assert decoded.events[view.key[0]].n_unique() == 500
    assert (at >= START_US - SPREAD_US).all()
    assert (at < START_US).all()
