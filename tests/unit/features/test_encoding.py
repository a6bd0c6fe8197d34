"""What was decoded and is encoded again decodes to the same event."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.junk import FLAT_COMMERCE, NOW_US, WEBTOON_EVENT, raw_values
from polars.testing import assert_frame_equal

from features.contract import Contract
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.decoding import Decoder
from features.encoding import to_json


@pytest.mark.parametrize(
    ("contract", "event"), [(WEBTOON, WEBTOON_EVENT), (COMMERCE, FLAT_COMMERCE)]
)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_encoded_again_it_is_the_same_event(
    contract: Contract, event: dict[str, object], data: st.DataObject
) -> None:
    values = data.draw(st.lists(raw_values(event, "ui_version", "items"), max_size=8))
    once = decoded(contract, values)
    assert_frame_equal(decoded(contract, to_json(contract, once)), once)


def decoded(contract: Contract, values: list[bytes | None]) -> pl.DataFrame:
    received = pl.Series([NOW_US] * len(values), dtype=pl.Int64)
    events = Decoder(contract).decode(values, received).events.drop("row")
    return events.with_columns(pl.col("event_at").dt.timestamp("us"))
