"""`userflow bench serving`: features of 1, 100 and 500 entities over HTTP, ours beside Feast's.

One worker of `userflow serve`, a process of its own with a real key, and Feast's own server read
the same 100,000 readers from the same Redis. Each number of entities is asked of all of them, one
after the other: over one connection for the latency, over 16 for the requests/s. The load is a
process of its own too; what it can do at most is measured first, against a server that only
answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from benchmarks.home import Place, Say, temporary_home
from benchmarks.machine import cpu_times, stolen
from benchmarks.peers.feast import FeastEnvironment, FeastServer, end, wait_until_healthy
from benchmarks.serving_data import (
    VIEW,
    bodies_for_feast,
    bodies_for_us,
    load_stores,
    readers,
    zipf_ids,
)
from benchmarks.serving_stream import writing_stream
from infra.api_keys import create_key
from infra.errors import StreamFailed
from infra.settings import load_settings
from infra.stack.ports import LOOPBACK, Ports

__all__ = ["FEAST", "OURS", "OURS_AS_FEAST", "SIZES", "Served", "measure", "ratios"]

SIZES = (1, 100, 500)
CONNECTIONS = 16
OURS, OURS_AS_FEAST, FEAST = "POST /v1/features", "POST /get-online-features", "Feast's server"
# Different requests of each size; they are sent again and again.
REQUESTS = {1: 5_000, 100: 500, 500: 200}
WARM_UP_S, MOST = 2.0, 100_000
SEED = 1
# What the head of our answers says.
FROM_REDIS = "x-userflow-source: redis"


@dataclass(frozen=True, slots=True)
class Served:
    """One path at one number of entities: milliseconds over one connection, requests/s over 16.

    `elsewhere`: the share of our answers that Redis alone did not give, since it was too slow;
    `unavailable`: how many requests no store answered in time (503), which count nowhere else.
    """

    path: str
    entities: int
    requests: int
    latency_ms: Mapping[str, float]
    per_second: float
    stolen: float
    elsewhere: float = 0.0
    unavailable: int = 0

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and with which head."""

    name: str
    path: str
    port: int
    key: str = ""

    def requests(self, ids: Sequence[Sequence[str]]) -> list[str]:
        """Whole requests as they go over the wire."""
        bodies = bodies_for_us(ids) if self.path.startswith("/v1/") else bodies_for_feast(ids)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        )
        if self.key:
            head += f"Authorization: Bearer {self.key}\r\n"
        return [f"{head}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies]


def measure(
    *, entities: int, seconds: float, peer: bool, with_stream: bool, say: Say
) -> list[Served]:
    """All paths at all sizes, each for so many seconds in each of the two ways."""
    environment = FeastEnvironment(load_settings().home)
    if peer:
        environment.prepare(say)
    with temporary_home() as place, ExitStack() as running:
        say(f"loading {entities:,} readers ...")
        rows = readers(entities, seed=SEED, now_us=time.time_ns() // 1000)
        load_stores(place.endpoints, rows, now_us=time.time_ns() // 1000)
        targets = running.enter_context(_our_server(place))
        if peer:
            targets += [running.enter_context(_feast_server(environment, place, rows, say))]
        _check_same_answers(targets, zipf_ids(rows, min(100, entities), 1, seed=SEED + 1))
        figures = [_floor(place, rows, seconds)]
        if with_stream:
            running.enter_context(writing_stream(place, say))
        for size in SIZES:
            ids = zipf_ids(rows, size, REQUESTS[size], seed=SEED)
            for target in targets:
                say(f"{target.name}, {size} entities ...")
                figures.append(_measured(target, size, ids, seconds))
        return figures


def ratios(figures: Sequence[Served]) -> dict[str, float]:
    """How many times Feast's requests/s ours are, by number of entities."""
    rates = {(figure.path, figure.entities): figure.per_second for figure in figures}
    return {
        str(size): rates[OURS, size] / rates[FEAST, size]
        for size in SIZES
        if (FEAST, size) in rates
    }


def _measured(target: Target, size: int, ids: Sequence[Sequence[str]], seconds: float) -> Served:
    requests, before = target.requests(ids), cpu_times()
    port, marker = target.port, FROM_REDIS if target.key else ""
    load(port, requests, connections=CONNECTIONS, seconds=min(WARM_UP_S, seconds))
    alone = load(port, requests, connections=1, seconds=seconds, marker=marker)
    together = load(port, requests, connections=CONNECTIONS, seconds=seconds, marker=marker)
    answers = alone["requests"] + together["requests"]
    return Served(
        path=target.name,
        entities=size,
        requests=alone["requests"],
        latency_ms=alone["latency_ms"],
        per_second=together["per_second"],
        stolen=stolen(before),
        elsewhere=1 - (alone["marked"] + together["marked"]) / max(1, answers),
        unavailable=alone["unavailable"] + together["unavailable"],
    )


def load(
    port: int, requests: Sequence[str], *, connections: int, seconds: float, marker: str = ""
) -> dict[str, Any]:
    """What a load in a process of its own has seen."""
    plan = {
        "port": port,
        "requests": requests,
        "connections": connections,
        "seconds": seconds,
        "most": MOST,
        "marker": marker,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http_load"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    if done.returncode != 0:
        raise StreamFailed(f"The load broke off: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _floor(place: Place, rows: pl.DataFrame, seconds: float) -> Served:
    """What the load itself takes, with requests for one entity."""
    port = Ports(place.settings.home / "floor.json").choose("floor")
    plan = json.dumps({"port": port, "size": 400})
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_load", "floor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if process.stdin is None or process.stdout is None:
                raise StreamFailed("The server of the floor has no pipes.")
            process.stdin.write(plan)
            process.stdin.close()
            process.stdout.readline()
            ids = zipf_ids(rows, 1, REQUESTS[1], seed=SEED)
            target = Target("the load alone", "/v1/features", port)
            return _measured(target, 1, ids, min(seconds, 3.0))
        finally:
            process.kill()


@contextmanager
def _our_server(place: Place) -> Iterator[list[Target]]:
    home = place.settings.home
    _, key = create_key(place.endpoints.postgres, ["read"], "bench")
    port = Ports(home / "bench.json").choose("api")
    log = home / "logs" / "serve.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", "serve", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "USERFLOW_HOME": str(home), "USERFLOW_LAKE": ""},
        )
    try:
        wait_until_healthy(f"http://{LOOPBACK}:{port}/healthz", process, log)
        yield [
            Target(OURS, "/v1/features", port, key),
            Target(OURS_AS_FEAST, "/get-online-features", port, key),
        ]
    finally:
        end(process)


@contextmanager
def _feast_server(
    environment: FeastEnvironment, place: Place, rows: pl.DataFrame, say: Say
) -> Iterator[Target]:
    folder = place.settings.home / "feast"
    server = FeastServer(environment, folder, place.endpoints.redis)
    say("loading them into Feast's store ...")
    server.load(VIEW.name, rows)
    port = Ports(place.settings.home / "feast.json").choose("feast")
    with server.serving(port):
        yield Target(FEAST, "/get-online-features", port)


def _check_same_answers(targets: Sequence[Target], ids: Sequence[Sequence[str]]) -> None:
    """What is compared must be the same: the values of some readers, as each server tells them."""
    found = [_values(target, ids) for target in targets if target.path == "/get-online-features"]
    for other in found[1:]:
        if other != found[0]:
            raise StreamFailed("Feast's server and ours do not answer the same.")


def _values(target: Target, ids: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    (body,) = bodies_for_feast(ids)
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{target.port}{target.path}",
        data=body.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {target.key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answered:  # noqa: S310 - loopback
        document = json.load(answered)
    names = document["metadata"]["feature_names"]
    return dict(zip(names, (one["values"] for one in document["results"]), strict=True))
