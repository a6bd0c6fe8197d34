"""The simulator: a pure function from its arguments to a log, byte for byte.

Records leave at an even rate, one per slot, and a slot decides what it sends:

1. a record held back earlier (out of order), as soon as its delay is over;
2. something bad, late or sent twice, as often as the rates say;
3. else the next event of the journey that is due, or the first of a new journey if none is.

So pauses are as long as the behaviour says, and as many journeys run at once as the rate needs.
Journeys still running at the end are cut. Nothing here reads a clock or the environment.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from heapq import heappop, heappush
from random import Random

from features.contracts import CONTRACTS
from producer.bad import CATALOGUE, BadKind, kinds_of, next_kind
from producer.commerce import Commerce
from producer.journey import Domain, Journey
from producer.sent import Kind, Sent
from producer.sources import Sources
from producer.times import HOUR_US, MS_US, SECOND_US
from producer.webtoon import Webtoon

__all__ = ["DOMAINS", "Simulation", "simulate"]

DOMAINS: Mapping[str, Callable[..., Domain]] = {
    "webtoon": Webtoon,
    "commerce": Commerce,
    "sources": Sources,
}
# The watermark waits 10 s: what is held back less than that is out of order but in time.
DISORDER_US = 8 * SECOND_US
# Behind the dedup horizon of 1 h and the watermark, by a margin.
LATE_US = (2 * HOUR_US, 3 * HOUR_US)
REPEAT_WITHIN_US = 60 * SECOND_US
REMEMBERED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The arguments of a run; equal arguments give equal logs.

    `rate * duration` is the number of all records; bad, late and duplicate ones are shares of it.
    With `replayed`, due times are not the wall clock's, and records carry them as `received_at_ms`.
    """

    domain: str
    rate: float
    duration: float
    users: int
    seed: int
    start_us: int
    bad_rate: float = 0.0
    late_rate: float = 0.0
    duplicate_rate: float = 0.0
    disorder_rate: float = 0.0
    replayed: bool = True
    bad_kinds: tuple[BadKind, ...] = field(default=CATALOGUE)

    @property
    def count(self) -> int:
        """How many records the run has."""
        return round(self.rate * self.duration)

    @property
    def run(self) -> str:
        """A short name for the run, in its session and event ids: two runs never share one."""
        arguments = (self.domain, self.rate, self.duration, self.users, self.seed, self.start_us)
        return blake2s(repr(arguments).encode(), digest_size=4).hexdigest()


def simulate(simulation: Simulation) -> Iterator[Sent]:
    """The log of that run, in the order of sending."""
    return _Engine(simulation).records()


class _Engine:
    """The state of one run: journeys waiting, records held back, records that may repeat."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._rng = Random(f"{simulation.domain}:{simulation.seed}")  # noqa: S311 - no cryptography
        self._noise = Random(f"noise:{simulation.seed}")  # noqa: S311
        self._domain = DOMAINS[simulation.domain](
            users=simulation.users, rng=self._rng, run=simulation.run
        )
        self._end_us = simulation.start_us + int(simulation.duration * SECOND_US)
        self._waiting: list[tuple[int, int, Journey]] = []
        self._held: list[tuple[int, int, Sent]] = []
        self._recent: deque[Sent] = deque(maxlen=REMEMBERED)
        self._sequence = 0
        self._bad_counts: Counter[str] = Counter()

    def records(self) -> Iterator[Sent]:
        start_us, per_slot = self._simulation.start_us, SECOND_US / self._simulation.rate
        noisy = self._noise_bounds()
        for slot in range(self._simulation.count):
            # Clients count in milliseconds.
            due_us = int(start_us + slot * per_slot) // MS_US * MS_US
            if self._held and self._held[0][0] <= due_us:
                yield self._release(due_us)
                continue
            chance = self._noise.random()
            if chance < noisy[-1]:
                yield self._noisy(chance, noisy, due_us)
            else:
                yield self._clean(due_us)

    def _noise_bounds(self) -> tuple[float, float, float]:
        config = self._simulation
        late = config.bad_rate + config.late_rate
        return config.bad_rate, late, late + config.duplicate_rate

    def _noisy(self, chance: float, bounds: tuple[float, float, float], due_us: int) -> Sent:
        bad, late, _ = bounds
        if chance < bad:
            return self._bad(due_us)
        if chance < late:
            return self._late(due_us)
        return self._duplicate(due_us)

    def _clean(self, due_us: int) -> Sent:
        sent = self._event(due_us)
        while self._is_held_back(sent):
            sent = self._event(due_us)
        self._remember(sent)
        return sent

    def _event(self, due_us: int) -> Sent:
        waiting = self._waiting
        if waiting and waiting[0][0] <= due_us:
            journey = heappop(waiting)[2]
        else:
            journey = self._domain.open(due_us)
        topic, key, value, pause_us = journey.step(due_us)
        if pause_us is not None:
            self._sequence += 1
            heappush(waiting, (due_us + pause_us, self._sequence, journey))
        return Sent(topic, key, value, due_us, due_us, "clean", None, self._received_at(due_us))

    def _is_held_back(self, sent: Sent) -> bool:
        rate = self._simulation.disorder_rate
        if not rate or self._noise.random() >= rate:
            return False
        until_us = sent.due_us + int(self._noise.random() * DISORDER_US)
        if until_us >= self._end_us:
            return False
        self._sequence += 1
        heappush(self._held, (until_us, self._sequence, sent))
        return True

    def _release(self, due_us: int) -> Sent:
        sent = self._at(heappop(self._held)[2], due_us)
        self._remember(sent)
        return sent

    def _late(self, due_us: int) -> Sent:
        least, most = LATE_US
        at_us = due_us - self._noise.randrange(least, most) // MS_US * MS_US
        topic, key, value, _ = self._domain.open(at_us).step(at_us)
        return Sent(topic, key, value, at_us, due_us, "late", None, self._received_at(due_us))

    def _duplicate(self, due_us: int) -> Sent:
        recent = self._recent
        while recent and recent[0].due_us < due_us - REPEAT_WITHIN_US:
            recent.popleft()
        if not recent:
            return self._clean(due_us)
        return self._at(self._noise.choice(recent), due_us, "duplicate")

    def _bad(self, due_us: int) -> Sent:
        topic, key, value, _ = self._domain.open(due_us).step(due_us)
        contract = CONTRACTS[topic]
        kinds = kinds_of(contract, self._simulation.bad_kinds)
        kind = next_kind(kinds, self._bad_counts[topic])
        self._bad_counts[topic] += 1
        spoilt = kind.spoil(value, contract, due_us)
        received = self._received_at(due_us)
        return Sent(topic, key, spoilt, due_us, due_us, "bad", kind.reason, received)

    def _at(self, sent: Sent, due_us: int, kind: Kind = "clean") -> Sent:
        """The same bytes at another moment of sending."""
        received = self._received_at(due_us)
        return Sent(
            sent.topic, sent.key, sent.value, sent.event_at_us, due_us, kind, None, received
        )

    def _received_at(self, due_us: int) -> int | None:
        return due_us // MS_US if self._simulation.replayed else None

    def _remember(self, sent: Sent) -> None:
        if self._simulation.duplicate_rate:
            self._recent.append(sent)
