"""`/metrics` of a streaming process: served while it runs, and found by whoever looks for it.

Each process has a file of its own in `services/stream-metrics/` of the home, in the form that
Prometheus discovers targets from. A process that is stopped takes its file away; of one that died
the file stays, so that Prometheus goes on asking and says that it is down, until the same job is
started again.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from infra.endpoints import Endpoints
from infra.errors import PortTaken
from infra.private_files import write_private
from infra.settings import Settings
from infra.stack.supervisor import start_mark
from streaming.jobs import Job
from streaming.metrics.lag import Lag
from streaming.metrics.listener import EpochMetrics
from streaming.sinks.lease import LeaseTaken
from streaming.source import end_offsets

__all__ = ["StreamAddress", "measured", "stream_addresses"]

FOLDER = Path("services") / "stream-metrics"
# A scrape may take ten seconds by default; a broker that is away must leave time for the rest.
LAG_TIMEOUT_S = 2.0
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
# In the order of the labels of `userflow_build_info`.
PACKAGES = ("userflow", "pyspark", "deltalake")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAddress:
    """Where a streaming process of this home tells its metrics; `is_alive`: or told them."""

    pid: int
    jobs: tuple[str, ...]
    url: str
    is_alive: bool


@contextmanager
def measured(
    settings: Settings, endpoints: Endpoints, jobs: Sequence[Job]
) -> Iterator[EpochMetrics]:
    """A listener to the epochs of these jobs, served as `/metrics` for as long as the block runs.

    Raises `PortTaken`.
    """
    metrics = EpochMetrics(jobs, map(_version, PACKAGES))
    if settings.metrics_port == 0:
        yield metrics
        return
    lag = Lag(jobs, lambda: metrics.clocks, end_offsets(endpoints.kafka, timeout=LAG_TIMEOUT_S))
    with _served(settings, _registry(metrics, lag)) as address:
        log.info("metrics", url=_url(address))
        file = _announce(settings.home, address, [job.name for job in jobs])
        try:
            yield metrics
        except LeaseTaken:  # another process is this stream, and alive
            file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def _registry(metrics: EpochMetrics, lag: Lag) -> CollectorRegistry:
    """A registry of one process: its streams, and Python's own metrics."""
    registry = CollectorRegistry()
    registry.register(metrics)
    registry.register(lag)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def stream_addresses(home: Path) -> list[StreamAddress]:
    """The streaming processes of this home, the dead ones that nobody replaced too."""
    return [address for _, address in _files(home)]


@contextmanager
def _served(settings: Settings, registry: CollectorRegistry) -> Iterator[str]:
    """Serve the registry; yields `host:port` as others may ask for it."""
    host, port = settings.metrics_host, settings.metrics_port or 0
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise PortTaken(
            f"/metrics cannot listen on {host}:{port} ({error.strerror}): free the port, or unset "
            "USERFLOW_METRICS_PORT to get a free one, 0 for none; USERFLOW_METRICS_HOST must be an "
            "address of this machine."
        ) from error
    try:
        shown = socket.gethostname() if host in EVERYWHERE else host
        yield f"[{shown}]:{server.server_port}" if ":" in shown else f"{shown}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _announce(home: Path, address: str, jobs: Sequence[str]) -> Path:
    """Write the file of this process; those of dead ones that ran any of its jobs go."""
    for file, before in _files(home):
        if not before.is_alive and set(before.jobs) & set(jobs):
            file.unlink(missing_ok=True)
    pid = os.getpid()
    labels = {
        # Prometheus drops labels that begin with __meta_ after it has found the target.
        "__meta_userflow_pid": str(pid),
        "__meta_userflow_mark": start_mark(pid) or "",
        "__meta_userflow_jobs": ",".join(jobs),
    }
    file = home / FOLDER / f"{pid}.json"
    write_private(file, json.dumps([{"targets": [address], "labels": labels}], indent=2) + "\n")
    return file


def _files(home: Path) -> Iterator[tuple[Path, StreamAddress]]:
    for file in sorted((home / FOLDER).glob("*.json")):
        with suppress(FileNotFoundError):  # it ends just now
            yield file, _address(file)


def _address(file: Path) -> StreamAddress:
    (group,) = json.loads(file.read_text(encoding="utf-8"))
    labels = group["labels"]
    pid = int(labels["__meta_userflow_pid"])
    return StreamAddress(
        pid=pid,
        jobs=tuple(labels["__meta_userflow_jobs"].split(",")),
        url=_url(group["targets"][0]),
        is_alive=start_mark(pid) == labels["__meta_userflow_mark"],
    )


def _url(address: str) -> str:
    return f"http://{address}/metrics"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a clone that is not installed
        return "unknown"
