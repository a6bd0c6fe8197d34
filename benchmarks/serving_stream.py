"""A stream that writes while something else is measured: the webtoon job under a steady load."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.home import Place, Say
from benchmarks.peers.feast import end
from infra.demo.child import USERFLOW, streaming

__all__ = ["EVENTS_PER_SECOND", "writing_stream"]

EVENTS_PER_SECOND = 1_000
# Longer than any measurement.
LONGEST_S = 900


@contextmanager
def writing_stream(place: Place, say: Say) -> Iterator[None]:
    """Events come and are written to all stores for as long as the block lasts."""
    home = place.settings.home
    own = {"USERFLOW_HOME": str(home), "USERFLOW_LAKE": "", "USERFLOW_CHECKPOINTS": ""}
    with streaming(home, "--jobs", "webtoon", environment=own) as stream:
        say("starting a stream ...")
        stream.wait_until_started()
        process = _producing(own)
        try:
            stream.wait(
                lambda: any(line.get("rows_in") for line in stream.lines()),
                timeout=180,
                what="write its first epoch",
            )
            yield
        finally:
            end(process)


def _producing(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(*USERFLOW, "produce", "--domain", "webtoon", "--seed", "1"),
            *("--rate", str(EVENTS_PER_SECOND), "--duration", str(LONGEST_S)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
