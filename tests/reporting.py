"""Reports of epochs that were never run, for what listens to them."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from streaming.ports import DEAD, Clock, Epoch, Output, no_refusals
from streaming.report import EpochReport

__all__ = ["report"]


def report(
    at_us: int, records: Mapping[str, int], dead: Mapping[tuple[str, str], int] | None = None
) -> EpochReport:
    """An epoch committed at `at_us`; `dead`: (topic, reason code) -> letters."""
    letters = [
        {"topic": topic, "partition": 0, "offset": offset, "reason_code": code, "reason": "."}
        for (topic, code), count in (dead or {}).items()
        for offset in range(count)
    ]
    return EpochReport(
        epoch=Epoch(job="j", checkpoint_id="c", number=0, generation=1, committed_at_us=at_us),
        output=Output(
            rows={},
            events={},
            dead=pl.DataFrame(letters, schema=DEAD),
            rows_in=sum(records.values()),
            duplicates=0,
        ),
        clock=Clock(),
        is_repeat=False,
        seconds=0.1,
        stages={},
        late_for={},
        capped={},
        decay_lag={},
        refused=no_refusals(),
        lag={},
        live_keys=None,
        state_bytes=None,
        records=records,
    )
