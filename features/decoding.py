"""Raw values to columns, a batch at a time.

1. A C decoder (msgspec), compiled from the contract, reads each value as a flat, typed record in
   canonical names. It refuses whatever has a wrong type, an unknown name or a wrong enum value.
2. Vectorised checks keep what is *provably* what `features.validation` would accept unchanged: no
   escape, no control character, no name twice (every name is followed by `":`, and without escapes
   nothing else is), patterns, times and conditional fields in order.
3. Everything else, good or bad, goes to `features.validation`, which alone knows the rules.

So the fast way is an optimisation and never an opinion: both ways give the same frames.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from features.columns import column_of, polars_schema, polars_type
from features.contract import Contract, Field, FieldType
from features.json_text import MAX_BYTES
from features.plain_text import is_plain
from features.validation import (
    ARRIVAL,
    MAX_ID,
    MAX_STRING,
    Rejected,
    TimeBounds,
    derived_id,
    validate,
)

__all__ = ["Decoded", "Decoder", "event_schema"]

UTC = pl.Datetime("us", "UTC")
EXTRA = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
REJECTS = {"row": pl.UInt32, "reason_code": pl.String, "reason": pl.String}
ISO_UTC = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d{3}|\.\d{6})?Z$"
UNCLEAN = r"[\\\x00-\x1f\x7f-\x{9f}]"


@dataclass(frozen=True, slots=True)
class Decoded:
    """`events`: `event_schema` plus `row`; `rejects`: row, reason_code, reason. `row` is the index
    of the value in the batch; every row stands in exactly one of the two.
    """

    events: pl.DataFrame
    rejects: pl.DataFrame


def event_schema(contract: Contract) -> dict[str, Any]:
    """The polars schema of decoded events, in the order of the stored columns."""
    fields = polars_schema(column_of(field) for field in contract.stored_fields)
    return {"event_id": pl.String, "event_at": UTC, **fields, "extra": EXTRA}


class Decoder:
    """Decodes batches of one contract. Holds no state between batches; not thread-safe."""

    def __init__(self, contract: Contract, bounds: TimeBounds = ARRIVAL) -> None:
        self.contract = contract
        self._bounds = bounds
        self.schema = {"row": pl.UInt32, **event_schema(contract)}
        # What a flat record may hold; arrays of records take the slow way.
        self._flat = [f for f in contract.fields if f.type is not FieldType.RECORDS]
        self._raw_schema = {f.name: _raw_type(f) for f in self._flat}

    def decode(self, values: Sequence[bytes | None], received_at: pl.Series) -> Decoded:
        """`received_at` holds microseconds UTC, one for each value."""
        with _collector_paused():
            return self._decode(values, received_at)

    def _decode(self, values: Sequence[bytes | None], received_at: pl.Series) -> Decoded:
        records = self._read(values)
        rows = [row for row, record in enumerate(records) if record is not None]
        fast = self._provable(records, rows, values, received_at)
        done = set(fast["row"].to_list()) if fast.height < len(records) else None
        if done is None:
            return Decoded(fast, pl.DataFrame(schema=REJECTS))
        left = [row for row in range(len(records)) if row not in done]
        slow, rejects = self._validate(left, values, received_at)
        return Decoded(pl.concat([fast, slow]).sort("row"), rejects)

    def _read(self, values: Iterable[bytes | None]) -> list[Any]:
        """One record for each value, None where the C decoder refuses."""
        decode = self._decoder.decode
        remaining = iter(values)
        records: list[Any] = []
        add = records.append
        while True:
            try:
                # The loop stands inside the try: entering one for each value costs a third more.
                for value in remaining:
                    add(decode(value))  # type: ignore[arg-type]  # None is refused as TypeError
            except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
                add(None)
            else:
                return records

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        members = [_member(f, self.contract) for f in self._flat]
        record = msgspec.defstruct(
            f"{self.contract.name}_record",
            members,
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        return msgspec.json.Decoder(record)

    def _provable(
        self,
        records: list[Any],
        rows: list[int],
        values: Sequence[bytes | None],
        received_at: pl.Series,
    ) -> pl.DataFrame:
        if not rows:
            return pl.DataFrame(schema=self.schema)
        tuples = map(msgspec.structs.astuple, (records[row] for row in rows))
        columns = zip(*tuples, strict=True)
        texts = [text for row in rows if (text := values[row]) is not None]
        frame = pl.DataFrame(
            [
                pl.Series(name, column, dtype=dtype, strict=False)
                for (name, dtype), column in zip(self._raw_schema.items(), columns, strict=True)
            ]
        )
        frame = frame.with_columns(
            row=pl.Series(rows, dtype=pl.UInt32),
            received=received_at.gather(rows),
            event_at=self._event_at(),
            is_clean=self._is_clean(frame, texts),
        )
        return self._with_ids(frame.filter("is_clean", self._is_valid())).select(self._stored())

    def _with_ids(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Derive the ids that were not sent, from the very record that `validate` would see."""
        if not frame["event_id"].null_count():
            return frame
        kind = {"event_type": self._kind()} if "event_type" in frame.columns else {}
        unnamed = frame.with_columns(**kind).filter(pl.col("event_id").is_null())
        sent = unnamed.select(self._sent.__struct_fields__)
        derived = [derived_id(self.contract, self._sent(*row)) for row in sent.iter_rows()]
        ids = pl.DataFrame({"row": unnamed["row"], "derived": derived})
        joined = frame.join(ids, on="row", how="left", maintain_order="left")
        return joined.with_columns(pl.col("event_id").fill_null(pl.col("derived")))

    @cached_property
    def _sent(self) -> type[msgspec.Struct]:
        """What an id is derived of, in the order of the names; nulls are left out."""
        names = {f.name for f in self._flat} - {"event_id", self.contract.time_field}
        members = [(name, Any, None) for name in sorted({*names, "event_at"})]
        return msgspec.defstruct("sent", members, omit_defaults=True, gc=False)

    def _event_at(self) -> pl.Expr:
        text = pl.col(self.contract.time_field)
        seconds = text.str.head(19).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
        fraction = text.str.slice(20).str.head(-1).str.pad_end(6, "0").cast(pl.Int64, strict=False)
        micros = seconds.dt.timestamp("us") + fraction
        return pl.when(text.str.contains(ISO_UTC)).then(micros)

    def _is_clean(self, frame: pl.DataFrame, texts: Sequence[bytes]) -> pl.Series | pl.Expr:
        """Which texts are short enough and hold no escape, no control character, no name twice."""
        count = pl.sum_horizontal(pl.col(f.name).is_not_null() for f in self._flat)
        names = frame.select(count).to_series()
        if max(map(len, texts)) <= MAX_BYTES and is_plain(texts, int(names.sum())):
            return pl.lit(value=True)
        text = pl.Series(texts, dtype=pl.Binary).cast(pl.String, strict=False).str
        nulls = text.count_matches('":null', literal=True)
        nulls += text.count_matches('": null', literal=True)
        is_small = text.len_bytes() <= MAX_BYTES
        is_unique = text.count_matches('":', literal=True) == names + nulls
        return is_small & is_unique & ~text.contains(UNCLEAN)

    def _is_valid(self) -> pl.Expr:
        """Which rows `validate` would accept with just these values."""
        ahead = pl.col("event_at") - pl.col("received")
        return pl.all_horizontal(
            ahead.is_between(-self._bounds.behind, self._bounds.ahead),
            *(self._has_pattern(f) for f in self._flat if f.pattern),
            *(self._is_present(f) for f in self._flat if f.required_for),
            *([self._needs_no_completion()] if self.contract.complete else ()),
            # Other times are rare: only the exact way reads them.
            *(
                pl.col(f.name).is_null()
                for f in self._flat
                if f.type is FieldType.TIME and f.name != self.contract.time_field
            ),
        ).fill_null(False)

    def _has_pattern(self, field: Field) -> pl.Expr:
        column = pl.col(field.name)
        return column.is_null() | column.str.contains(f"^(?:{field.pattern})$")

    def _is_present(self, field: Field) -> pl.Expr:
        return pl.col(field.name).is_not_null() | ~self._kind().is_in(field.required_for)

    def _needs_no_completion(self) -> pl.Expr:
        return ~self._kind().is_in(self.contract.complete_for)

    def _kind(self) -> pl.Expr:
        return pl.col("event_type").replace(dict(self.contract.value_aliases or {}))

    def _stored(self) -> list[pl.Expr]:
        columns = {f.name: pl.col(f.name) for f in self._flat}
        columns.pop(self.contract.time_field)
        for field in self.contract.fields:
            if field.type is FieldType.RECORDS:
                columns[field.name] = pl.lit(None)
            elif field.default is not None:
                columns[field.name] = pl.col(field.name).fill_null(field.default)
        if "event_type" in columns:
            columns["event_type"] = self._kind()
        columns |= {"row": pl.col("row"), "event_at": pl.col("event_at"), "extra": pl.lit(None)}
        return [columns[name].cast(dtype).alias(name) for name, dtype in self.schema.items()]

    def _validate(
        self, rows: list[int], values: Sequence[bytes | None], received_at: pl.Series
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        events, rejects = [], []
        for row, received in zip(rows, received_at.gather(rows).to_list(), strict=True):
            verdict = validate(self.contract, values[row], received, self._bounds)
            if isinstance(verdict, Rejected):
                rejects.append((row, verdict.reason_code, verdict.reason))
            else:
                extra = [{"key": k, "value": v} for k, v in verdict.event["extra"].items()]
                events.append({**verdict.event, "row": row, "extra": extra or None})
        return (
            pl.DataFrame(events, schema=self.schema),
            pl.DataFrame(rejects, schema=REJECTS, orient="row"),
        )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A batch makes tuples by the hundred thousand and no cycle; looking for some costs a fifth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _member(field: Field, contract: Contract) -> tuple[Any, ...]:
    kind = _member_type(field, contract)
    return (field.name, kind) if field.required else (field.name, kind | None, None)


def _member_type(field: Field, contract: Contract) -> Any:
    if field.allowed:
        aliases = contract.value_aliases if field.name == "event_type" else None
        return Literal[*field.allowed, *(aliases or ())]
    low, high = field.minimum, field.maximum
    return {
        FieldType.ID: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)],
        FieldType.STRING: Annotated[str, msgspec.Meta(max_length=MAX_STRING)],
        FieldType.DOUBLE: Annotated[float, msgspec.Meta(ge=low, le=high)],
        FieldType.LONG: Annotated[int, msgspec.Meta(ge=_whole(low), le=_whole(high))],
        FieldType.BOOLEAN: bool,
        FieldType.TIME: str,
    }[field.type]


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _raw_type(field: Field) -> pl.DataType:
    return pl.String() if field.type is FieldType.TIME else polars_type(column_of(field))
