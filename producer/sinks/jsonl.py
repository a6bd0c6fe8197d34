"""Lines: the raw value of each record, byte for byte, in one file or one file per topic.

A value that is no line of its own (empty, or with a line break) cannot be kept; it is an error
here, and the simulator does not make such values for this sink.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from producer.errors import DeliveryFailed
from producer.sent import Sent

__all__ = ["STDOUT", "JsonlSink", "TopicFilesSink"]

STDOUT = "-"


def _open(path: str | Path) -> IO[bytes]:
    if path == STDOUT:
        return sys.stdout.buffer
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("wb")
    except OSError as error:
        raise DeliveryFailed(f"{path} cannot be written: {error.strerror}.") from error


def _lines(batch: Sequence[Sent]) -> bytes:
    values = [sent.value for sent in batch]
    text = b"\n".join(values) + b"\n"
    if b"" in values or text.count(b"\n") != len(values):
        raise DeliveryFailed("A value is empty or has a line break; JSONL cannot hold it.")
    return text


class JsonlSink:
    """One file for all topics; `-` is the standard output. An existing file is replaced."""

    def __init__(self, path: str | Path) -> None:
        self.refused = 0
        self._file = _open(path)

    def send(self, batch: Sequence[Sent]) -> None:
        """Append the values."""
        if batch:
            self._file.write(_lines(batch))

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not sys.stdout.buffer:
            self._file.close()


class TopicFilesSink:
    """A directory with one `<topic>.jsonl` per topic."""

    def __init__(self, directory: str | Path) -> None:
        self.refused = 0
        self._directory = Path(directory)
        self._files: dict[str, JsonlSink] = {}

    def send(self, batch: Sequence[Sent]) -> None:
        """Append each value to its topic's file."""
        by_topic: dict[str, list[Sent]] = {}
        for sent in batch:
            by_topic.setdefault(sent.topic, []).append(sent)
        for topic, records in by_topic.items():
            self._file(topic).send(records)

    def _file(self, topic: str) -> JsonlSink:
        if topic not in self._files:
            self._files[topic] = JsonlSink(self._directory / f"{topic}.jsonl")
        return self._files[topic]

    def flush(self) -> None:
        """Hand everything to the operating system."""
        for file in self._files.values():
            file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.__exit__()
