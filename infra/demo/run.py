"""The demo in order: services, stream, input, catching up, proof, batch half, API, summary.

Whatever happens, the stream has ended when this returns, and the services are as they were before
unless they are to be kept.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from infra.demo import stores
from infra.demo.batch import run_batch
from infra.demo.child import StreamProcess, streaming
from infra.demo.load import RATES, Run, now_us, produce
from infra.demo.proof import prove
from infra.demo.report import Outcome, document, show
from infra.demo.served import served, serving
from infra.demo.steps import Steps
from infra.endpoints import Endpoints
from infra.initialise import initialise
from infra.settings import Settings, load_settings
from infra.signals import handled
from infra.stack.stack import Stack
from producer.times import SECOND_US
from streaming.jobs import JOBS
from streaming.source import EndOffsets, end_offsets

__all__ = ["conclude", "run_demo"]

WARM_UP_S = 3
CATCH_UP_S = 300.0
# Ten quiet seconds, then as long as the last event is behind the watermark: 20 s, and an epoch.
CLOSE_S = 60.0


def run_demo(*, seconds: int, keep: bool, as_json: bool) -> int:
    """Run everything and print the summary; 0 only if all stores agree with what was produced."""
    settings, steps = load_settings(), Steps(Console(stderr=True))
    with (
        _ending_in_order(),
        _services(settings, steps, keep=keep) as endpoints,
        serving(settings, keep=keep),
    ):
        outcome = _outcome(settings, endpoints, steps, seconds)
        answered = served(settings, outcome.proof, steps, keep=keep)
        return conclude(replace(outcome, answered=answered), as_json=as_json)


def conclude(outcome: Outcome, *, as_json: bool) -> int:
    """Print the summary; the exit code of the demo."""
    if as_json:
        print(document(outcome))
    else:
        show(outcome, Console())
    return 1 if outcome.proof.differences else 0


def _outcome(settings: Settings, endpoints: Endpoints, steps: Steps, seconds: int) -> Outcome:
    ends = end_offsets(endpoints.kafka)
    with streaming(settings.home) as stream:
        with steps.step("Start Spark and the streaming jobs"):
            stream.wait_until_started()
        with steps.step("Warm up: a few events, and what was there before"):
            _warm_up(stream, endpoints, ends)
        run = _produce(endpoints, ends, steps, seconds)
        with steps.step("Wait until the stream has read everything"):
            _catch_up(stream, endpoints, ends)
        with steps.step("Wait until the sessions that have ended are closed"):
            _close(stream, endpoints, run)
        with steps.step("Stop the stream"):
            stream.stop()
        log = list(stream.lines())
    with steps.step("Compare the stores with what was produced"):
        proof = prove(run, endpoints)
    day = datetime.fromtimestamp(run.start_us / SECOND_US, UTC).date()
    batch = run_batch(settings, day, steps)
    return Outcome(run=run, endpoints=endpoints, proof=proof, log=log, batch=batch)


def _produce(endpoints: Endpoints, ends: EndOffsets, steps: Steps, seconds: int) -> Run:
    begins = ends(_topics())
    start_us, total = now_us(), sum(round(rate * seconds) for rate in RATES.values())
    with steps.sending(f"Send {total:,} events in {seconds} s", total) as progress:
        produce(endpoints.kafka, seconds=seconds, start_us=start_us, progress=progress)
    return Run(seconds=seconds, start_us=start_us, begins=begins, ends=ends(_topics()))


def _warm_up(stream: StreamProcess, endpoints: Endpoints, ends: EndOffsets) -> None:
    """A stream runs for weeks: what is measured later is not how long it takes to get going."""
    produce(endpoints.kafka, seconds=WARM_UP_S, start_us=now_us(), progress=lambda _: None)
    _catch_up(stream, endpoints, ends)


def _catch_up(stream: StreamProcess, endpoints: Endpoints, ends: EndOffsets) -> None:
    wanted = ends(_topics())

    def is_read() -> bool:
        read = stores.committed_offsets(endpoints.postgres)
        return all(read.get(place, 0) >= end for place, end in wanted.items())

    stream.wait(is_read, timeout=CATCH_UP_S, what="read everything")


def _close(stream: StreamProcess, endpoints: Endpoints, run: Run) -> None:
    stream.wait(
        lambda: stores.open_though_ended(endpoints.postgres, run.start_us) == 0,
        timeout=CLOSE_S,
        what="close the sessions that have ended",
    )


def _topics() -> list[str]:
    return [topic for job in JOBS.values() for topic in job.topics]


@contextmanager
def _services(settings: Settings, steps: Steps, *, keep: bool) -> Iterator[Endpoints]:
    """Up and initialised; down at the end, unless they were up before or are to be kept."""
    stack = Stack(settings)
    was_up = any(one.pid for one in stack.status().values())
    try:
        with steps.step("Start Kafka, PostgreSQL and Redis"):
            endpoints = stack.up()
        with steps.step("Create topics, tables and roles"):
            initialise(endpoints, settings, stack.credentials)
        yield endpoints
    finally:
        if was_up or keep:
            steps.say("The services run on; `make down` or `userflow down` stops them.")
        else:
            with _uninterrupted(), steps.step("Stop the services; the data stays"):
                stack.down()


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Being asked to end is like Ctrl-C: what was started is stopped on the way out."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with handled(interrupt, signal.SIGTERM, signal.SIGHUP):
        yield


def _uninterrupted() -> AbstractContextManager[None]:
    """A second Ctrl-C must not leave half of the services behind."""
    return handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
