"""The page says the weights that are declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.recommend.reading import READING_SIGNALS
from serving.recommend.shop import SHOP_SIGNALS
from serving.recommend.signals import Signal

PAGE = Path(__file__).parents[4] / "docs" / "howto" / "recommend.md"
PRODUCTS, EPISODES = PAGE.read_text(encoding="utf-8").split("## Episodes")


@pytest.mark.parametrize(
    ("section", "signals"), [(PRODUCTS, SHOP_SIGNALS), (EPISODES, READING_SIGNALS)]
)
def test_the_page_has_each_signal_with_its_weight(
    section: str, signals: tuple[Signal, ...]
) -> None:
    rows = [line.split(" | ")[:2] for line in section.splitlines() if line.startswith("| ")]
    found = [[name.removeprefix("| "), weight] for name, weight in rows if weight[0].isdigit()]
    assert found == [[signal.name, f"{signal.weight:.2f}"] for signal in signals]


@pytest.mark.parametrize("signal", [*SHOP_SIGNALS, *READING_SIGNALS], ids=lambda s: s.name)
def test_the_page_has_each_reason(signal: Signal) -> None:
    assert signal.code is None or f"`{signal.code}`" in PRODUCTS + EPISODES
