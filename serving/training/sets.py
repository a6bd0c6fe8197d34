"""Training sets: to each label the features as they were at its moment.

Nothing of the future gets into a row: a feature is taken from the log of its view's changes, from
the row that was readable at the label's time (`as-served`), or whose newest event lies before it
(`event-time`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from features.views import VIEWS
from serving.training.errors import NoLog, TrainingSetError, first_line
from serving.training.join import Asked, Say, entity_number, matches
from serving.training.labels import Labels, read_labels
from serving.training.log import FeatureLog
from serving.training.modes import MODES, Mode, ModeName
from serving.training.names import Wanted, resolve
from serving.training.places import default_lake
from serving.training.times import TTL, ttl_us

__all__ = ["TrainingSet", "make_set", "training_set"]

# What a row of the log takes while it is sorted and joined, measured.
BYTES_A_ROW = 110
MEMORY = 2 << 30
# Hashes that are the same by chance, again and again, are no chance.
SEEDS = range(5)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """`rows`: the labels and one column for each feature; `matched`: by feature, for which share of
    the labels its view had a row.
    """

    rows: pl.DataFrame
    matched: Mapping[str, float]

    @property
    def not_null(self) -> Mapping[str, float]:
        """By feature, which share of the labels has a value: a row may say null."""
        height = max(1, self.rows.height)
        counts = {name: height - self.rows[name].null_count() for name in self.matched}
        return {name: count / height for name, count in counts.items()}


def training_set(
    labels: Any,
    features: str | Iterable[str],
    *,
    lake: str | None = None,
    mode: ModeName = "as-served",
    ttl: TTL = None,
    storage_options: Mapping[str, str] | None = None,
    memory_bytes: int = MEMORY,
    say: Say = lambda _: None,
) -> pl.DataFrame:
    """The labels as they are, with one column for each feature, as it was at the label's moment.

    `labels`: a frame or a file (Parquet, CSV, JSON lines) with the columns of the entities and
    `label_at`, in UTC where it names no zone. `features`: `view:feature`, `view:*`, or a name that
    one view has. `ttl`: rows older than that give null: `7d`, or an age for each view. `lake`: the
    one of `USERFLOW_LAKE` or `USERFLOW_HOME` when left out. `memory_bytes`: how much of a log may
    be held at once; what is more is read in parts.

    Raises `TrainingSetError` and `features.errors.UnknownName`.
    """
    return make_set(
        labels,
        features,
        lake=lake or default_lake(),
        mode=mode,
        ttl=ttl,
        storage_options=storage_options,
        memory_bytes=memory_bytes,
        say=say,
    ).rows


def make_set(
    labels: Any,
    features: str | Iterable[str],
    *,
    lake: str,
    mode: ModeName = "as-served",
    ttl: TTL = None,
    storage_options: Mapping[str, str] | None = None,
    memory_bytes: int = MEMORY,
    say: Say = lambda _: None,
) -> TrainingSet:
    """As `training_set`, with what there is to say of the result."""
    if mode not in MODES:
        raise TrainingSetError(f"There is no mode {mode!r}; known are: {', '.join(MODES)}.")
    given = read_labels(labels)
    wanted = resolve(features, given.frame.columns)
    found: dict[Wanted, pl.Series] = {}
    matched: dict[str, float] = {}
    for view in dict.fromkeys(one.view for one in wanted):
        of_view = [one for one in wanted if one.view == view]
        log = FeatureLog(VIEWS[view], lake, storage_options)
        join = _Join(given, log, MODES[mode], ttl_us(ttl, view), memory_bytes, say)
        try:
            columns, matched[view] = join.columns([one.column.name for one in of_view])
        except (OSError, PolarsError) as error:
            raise NoLog(f"The log of {view} cannot be read: {first_line(error)}") from error
        found |= dict(zip(of_view, columns, strict=True))
    return TrainingSet(
        rows=given.frame.hstack([found[one].alias(one.name) for one in wanted]),
        matched={one.name: matched[one.view] for one in wanted},
    )


@dataclass(frozen=True, slots=True)
class _Join:
    given: Labels
    log: FeatureLog
    mode: Mode
    ttl_us: int | None
    memory_bytes: int
    say: Say

    def columns(self, names: list[str]) -> tuple[list[pl.Series], float]:
        """The features of one view, one value for each label, and which share of them has a row."""
        view = self.log.view.name
        who = self.given.entities(self.log.view).with_columns(self.given.at.alias("at"))
        self.say(f"{view}: {who.height:,} labels, {self.log.rows:,} rows of the log")
        labels, rows = self._own_rows(who.with_row_index("label"), names)
        is_shown = self._is_shown(rows, who["at"].gather(labels))
        place = _places(labels, is_shown, who.height)
        share = place.count() / max(1, who.height)
        self.say(f"{view}: {share:.1%} of the labels have a row")
        return [rows[name].gather(place) for name in names], share

    def _own_rows(self, who: pl.DataFrame, names: list[str]) -> tuple[pl.Series, pl.DataFrame]:
        """The labels that have a row, by their places, and these rows. Who or when is not said has
        none.
        """
        key = self.log.view.key
        columns = list(dict.fromkeys((*key, self.mode.time, "is_deleted", *names)))
        labels, rows = [], []
        pending = who.drop_nulls()
        for seed in SEEDS:
            found = self._found(pending, entity_number(key, seed))
            of_row = self.log.take(found["row"], columns)
            is_own = _are_same(of_row, who[found["label"]], key)
            labels.append(found["label"].filter(is_own))
            rows.append(of_row.filter(is_own))
            if is_own.all():
                return pl.concat(labels), pl.concat(rows)
            pending = who[found["label"].filter(~is_own)]
        raise NoLog(f"The log of {self.log.view.name} cannot be read twice in the same order.")

    def _found(self, who: pl.DataFrame, number: pl.Expr) -> pl.DataFrame:
        labels = who.select("label", number.alias("entity"), "at")
        asked = Asked(labels=labels, number=number, mode=self.mode, ttl_us=self.ttl_us)
        return matches(self.log, asked, self._parts, self.say)

    @property
    def _parts(self) -> int:
        return max(1, -(-self.log.rows * BYTES_A_ROW // self.memory_bytes))

    def _is_shown(self, rows: pl.DataFrame, at: pl.Series) -> pl.Series:
        """Whether the row says something of the label's moment: not of what was no more, or old."""
        is_shown = ~rows["is_deleted"].fill_null(value=False)
        if self.ttl_us is None:
            return is_shown
        return is_shown & ((at - rows[self.mode.time]).dt.total_microseconds() <= self.ttl_us)


def _are_same(rows: pl.DataFrame, others: pl.DataFrame, names: Iterable[str]) -> pl.Series:
    """For each row whether it is the same as the other one in these columns."""
    same = pl.repeat(value=True, n=rows.height, eager=True, dtype=pl.Boolean)
    for name in names:
        same &= rows[name].eq_missing(others[name])
    return same


def _places(labels: pl.Series, is_shown: pl.Series, height: int) -> pl.Series:
    """For every label the place of its row among those found; null where there is none."""
    places = pl.Series([None], dtype=pl.UInt32).new_from_index(0, height)
    numbers = pl.int_range(labels.len(), dtype=pl.UInt32, eager=True)
    return places.scatter(labels.filter(is_shown), numbers.filter(is_shown))
