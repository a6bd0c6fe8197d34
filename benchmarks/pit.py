"""`userflow bench pit`: labels/s of a training set, beside Feast on its DuckDB offline store.

Both get the same labels and the same files in the same run, each in a process of its own, in turn.
The clock runs while the set is made in memory: no start, no reading of the labels, no writing of
the result. What they made is compared, value by value.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.home import Say, own_process
from benchmarks.machine import cpu_times, stolen
from benchmarks.peers.feast import FeastEnvironment
from benchmarks.pit_data import FEATURES, VIEW, Files, write_files
from benchmarks.pit_run import run as run_ours
from infra.errors import StreamFailed
from infra.settings import load_settings
from serving.feast.declared import feast_type

__all__ = ["FEAST", "OURS", "Pit", "Side", "differences", "measure"]

OURS, BY_EVENT_TIME, FEAST = "as served", "event time", "Feast on DuckDB"
TIMES = {OURS: "available_at", BY_EVENT_TIME: "event_at", FEAST: "available_at"}
PEER = Path(__file__).parent / "peers" / "feast_pit.py"
LABEL = "label_id"


@dataclass(frozen=True, slots=True)
class Side:
    """One way to make the set: of several runs the median, and the highest peak of memory."""

    path: str
    labels_per_second: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stolen: float


@dataclass(frozen=True, slots=True)
class Pit:
    """`differences`: how many values Feast has otherwise; None without Feast."""

    labels: int
    rows: int
    readers: int
    log_bytes: int
    sides: Sequence[Side]
    differences: int | None

    @property
    def ratio(self) -> float | None:
        """How many times Feast's labels/s ours are, as served."""
        rates = {side.path: side.labels_per_second for side in self.sides}
        return rates[OURS] / rates[FEAST] if FEAST in rates else None

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return {**asdict(self), "ratio": self.ratio}


def measure(*, labels: int, rows: int, rows_each: int, runs: int, peer: bool, say: Say) -> Pit:
    """Make the files, then the sets in turn; raises `StreamFailed` if they differ from Feast's."""
    environment = FeastEnvironment(load_settings().home)
    if peer:
        environment.prepare(say)
    with tempfile.TemporaryDirectory(prefix="userflow-pit-") as name:
        folder = Path(name)
        say(f"writing {rows:,} rows of a log and {labels:,} labels ...")
        files = write_files(folder, labels=labels, rows=rows, rows_each=rows_each)
        paths = [OURS, BY_EVENT_TIME, *([FEAST] if peer else [])]
        taken: dict[str, list[Mapping[str, float]]] = {path: [] for path in paths}
        for number in range(runs):
            for path in paths:
                say(f"{path}, run {number + 1} of {runs} ...")
                taken[path].append(_run(path, environment, files, folder))
        found = _compared(folder, labels) if peer else None
    sides = [_side(path, labels, of_path) for path, of_path in taken.items()]
    return Pit(labels, files.rows, files.readers, files.bytes, sides, found)


def differences(ours: pl.DataFrame, theirs: pl.DataFrame, names: Sequence[str]) -> int:
    """How many values are not the same, in whatever order the rows are; null is null."""
    mine, other = (frame.select(LABEL, *names).sort(LABEL) for frame in (ours, theirs))
    other = other.cast(dict(mine.schema))  # type: ignore[arg-type]
    return sum(int(mine[name].ne_missing(other[name]).sum()) for name in mine.columns)


def _run(path: str, environment: FeastEnvironment, files: Files, folder: Path) -> dict[str, float]:
    before = cpu_times()
    out = str(_result(folder, path))
    taken = _feast(environment, files, folder, out) if path == FEAST else _ours(path, files, out)
    return {**taken, "stolen": stolen(before)}


def _ours(path: str, files: Files, out: str) -> dict[str, float]:
    with own_process() as process:
        return process.submit(
            run_ours,
            labels=str(files.labels),
            lake=str(files.lake),
            features=[f"{VIEW.name}:{name}" for name in FEATURES],
            mode="as-served" if path == OURS else "event-time",
            out=out,
        ).result()


def _feast(environment: FeastEnvironment, files: Files, folder: Path, out: str) -> dict[str, float]:
    asked = {
        "log": str(files.lake / "features" / VIEW.name),
        "labels": str(files.labels),
        "view": VIEW.name,
        "key": VIEW.key[0],
        "features": {c.name: feast_type(c) for c in VIEW.features if c.name in FEATURES},
        "time_field": TIMES[FEAST],
        "out": out,
    }
    with tempfile.TemporaryDirectory(dir=folder) as repository:
        said = environment.run(
            ["python", "-P", str(PEER)], folder=Path(repository), given=json.dumps(asked)
        )
    taken: dict[str, float] = json.loads(said.splitlines()[-1])
    return taken


def _compared(folder: Path, labels: int) -> int:
    ours, theirs = (pl.read_parquet(_result(folder, path)) for path in (OURS, FEAST))
    if not ours.height == theirs.height == labels:
        raise StreamFailed(f"{labels:,} labels gave {ours.height:,} rows, Feast {theirs.height:,}.")
    found = differences(ours, theirs, FEATURES)
    if found:
        raise StreamFailed(f"{found:,} values are not those that Feast found.")
    return found


def _result(folder: Path, path: str) -> Path:
    return folder / f"{path.replace(' ', '-')}.parquet"


def _side(path: str, labels: int, runs: Sequence[Mapping[str, float]]) -> Side:
    seconds = median(run["seconds"] for run in runs)
    return Side(
        path=path,
        labels_per_second=labels / seconds,
        seconds=seconds,
        cpu_seconds=median(run["cpu_seconds"] for run in runs),
        peak_bytes=int(max(run["peak_bytes"] for run in runs)),
        stolen=max(run["stolen"] for run in runs),
    )
