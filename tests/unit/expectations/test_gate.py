"""What a gate keeps of its runs."""

from __future__ import annotations

from pathlib import Path

from expectations.gate import KEPT_RUNS, _forget


def test_of_each_table_the_newest_runs_are_kept(tmp_path: Path) -> None:
    runs = [f"202601{day:02}T000000.000000Z" for day in range(1, 20)]
    for place in (*(f"events/of-a-day/{run}" for run in runs), "users/of-a-day/one"):
        (tmp_path / place).mkdir(parents=True)
    _forget(tmp_path)
    left = sorted(path.name for path in tmp_path.glob("events/*/*"))
    assert left == runs[1 - KEPT_RUNS :], "and the one that comes"
    assert (tmp_path / "users/of-a-day/one").exists()
