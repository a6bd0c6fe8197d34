"""The collector over HTTP: arrays of events per topic, with a key, retried while it is busy.

The collector answers for each event. What it rejects is counted in `refused`, since sending bad
events is one of the things a simulator is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Self

import httpx

from producer.errors import DeliveryFailed
from producer.sent import Sent

__all__ = ["HttpSink"]

EVENTS_PER_CALL = 500
BYTES_PER_CALL = 4 << 20
BUSY = {429, 502, 503, 504}
ATTEMPTS = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 10.0


class HttpSink:
    """`POST {api}/v1/events?topic=`; `sleep` is an argument so that tests need not wait."""

    def __init__(
        self,
        api: str,
        api_key: str,
        *,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.refused = 0
        self._url = f"{api.rstrip('/')}/v1/events"
        self._headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json"}
        self._client = client or httpx.Client(timeout=30)
        self._sleep = sleep

    def send(self, batch: Sequence[Sent]) -> None:
        """Post the batch; returns when it is in Kafka."""
        # Stable: within a topic the order stays.
        for topic, records in groupby(
            sorted(batch, key=attrgetter("topic")), key=attrgetter("topic")
        ):
            for values in _calls([sent.value for sent in records]):
                self._post(topic, values)

    def flush(self) -> None:
        """Every call was already answered."""

    def _post(self, topic: str, values: list[bytes]) -> None:
        body = b"[" + b",".join(values) + b"]"
        answer = self._answer(topic, body)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise DeliveryFailed(f"{self._url} answered {answer.status_code}: {answer.text[:200]}")
        results = answer.json().get("results", [])
        self.refused += sum(result.get("status") == "rejected" for result in results)

    def _answer(self, topic: str, body: bytes) -> httpx.Response:
        wait, problem = FIRST_WAIT_S, ""
        for _ in range(ATTEMPTS):
            try:
                answer = self._client.post(
                    self._url, params={"topic": topic}, content=body, headers=self._headers
                )
            except httpx.TransportError as error:
                problem, pause = str(error) or type(error).__name__, wait
            else:
                if answer.status_code not in BUSY:
                    return answer
                problem, pause = f"status {answer.status_code}", _retry_after(answer, wait)
            self._sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT_S)
        raise DeliveryFailed(f"{self._url} took no events in {ATTEMPTS} attempts: {problem}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def _calls(values: list[bytes]) -> Iterator[list[bytes]]:
    call: list[bytes] = []
    size = 0
    for value in values:
        if call and (len(call) == EVENTS_PER_CALL or size + len(value) > BYTES_PER_CALL):
            yield call
            call, size = [], 0
        call.append(value)
        size += len(value)
    if call:
        yield call


def _retry_after(answer: httpx.Response, default: float) -> float:
    """The seconds asked for; a date, or nothing readable, means our own back-off."""
    try:
        return min(float(answer.headers["retry-after"]), LONGEST_WAIT_S)
    except (KeyError, ValueError):
        return default
