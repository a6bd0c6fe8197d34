"""Which services do not answer, since when; asked from time to time, and said when it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

__all__ = ["Away", "Probe", "ServiceWatch"]

# None while the service answers, else why it does not.
Probe = Callable[[], str | None]
LOOK_EVERY_S = 5.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Away:
    """`since`: seconds since the epoch of Unix."""

    since: float
    reason: str


class ServiceWatch:
    """Looks at the services, in a thread of its own while it is entered.

    `away` is what it saw last; `changed` is told whenever a service leaves or comes back.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        changed: Callable[[Mapping[str, Away]], None] = lambda _: None,
    ) -> None:
        self.away: Mapping[str, Away] = {}
        self._probes = probes
        self._changed = changed
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service-watch", daemon=True)

    def look(self) -> Mapping[str, Away]:
        """Ask every service now; takes as long as the slowest needs to answer or to give up."""
        with self._looking:
            before, now = self.away, time.time()
            found = {
                name: reason.splitlines()[0]
                for name, probe in self._probes.items()
                if (reason := probe())
            }
            self.away = {name: before.get(name, Away(now, found[name])) for name in found}
            self._tell(before)
            return self.away

    def __enter__(self) -> ServiceWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self.look()

    def _tell(self, before: Mapping[str, Away]) -> None:
        for name in self.away.keys() - before.keys():
            log.warning("service_away", service=name, reason=self.away[name].reason)
        for name in before.keys() - self.away.keys():
            away_s = round(time.time() - before[name].since, 1)
            log.info("service_back", service=name, away_s=away_s)
        if self.away.keys() != before.keys():
            self._changed(self.away)
