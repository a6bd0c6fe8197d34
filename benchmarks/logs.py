"""The logs that benchmarks read: simulated users, written to Kafka before a clock starts."""

from __future__ import annotations

import threading

from producer.run import run, unpaced
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

__all__ = ["EVENTS_PER_SECOND", "START_US", "write_log"]

EVENTS_PER_SECOND = 2500  # in a second of event time
START_US = 1_790_000_000_000_000


def write_log(domain: str, brokers: str, events: int, *, users: int = 50_000) -> None:
    """Users of that domain, from `START_US` on; equal arguments give equal logs."""
    simulation = Simulation(
        domain=domain,
        rate=EVENTS_PER_SECOND,
        duration=events / EVENTS_PER_SECOND,
        users=users,
        seed=1,
        start_us=START_US,
    )
    run(unpaced(simulate(simulation)), KafkaSink(brokers), stopped=threading.Event())
