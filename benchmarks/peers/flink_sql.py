"""The sessions in Flink SQL, as one would write them there: a peer of the webtoon session job.

Runs with the python of an environment of its own, which has `apache-flink` and nothing of this
project. It reads its arguments as JSON from standard input, then the topic up to `ends`, and
prints one JSON document: `began`, `ended` and `progress`, pairs of (seconds on the same clock,
events that the aggregation has taken).

Flink does less here: no contract is checked, nothing kept of what cannot be parsed, a session is
never over, "first" is the first that arrives and a dwell time is in whole seconds. Unless `once` is
asked for, a copy of an event counts again. Its state lies in RocksDB, is checkpointed and expires,
as the session job's does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

LOOK_EVERY_S = 0.2
LOOPBACK = "127.0.0.1"

SOURCE = """
CREATE TABLE events (
    event_id STRING, user_id STRING, session_id STRING, episode_id STRING, event_type STRING,
    scroll_ratio DOUBLE, country STRING, device STRING, platform STRING,
    `timestamp` TIMESTAMP_LTZ(3), experiment_group STRING, ui_version STRING,
    arrived_at AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{brokers}',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'specific-offsets',
    'scan.bounded.specific-offsets' = '{ends}',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
)
"""
# The event that arrives first of those with one id; without one, of those with the same fields.
EVENTS_ONCE = """
CREATE VIEW events_once AS
SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY arrived_at) AS place
    FROM (
        SELECT
            *,
            COALESCE(event_id, MD5(CONCAT_WS(
                '|', user_id, session_id, episode_id, event_type, CAST(scroll_ratio AS STRING),
                country, device, platform, CAST(`timestamp` AS STRING), experiment_group, ui_version
            ))) AS id
        FROM events
    )
) WHERE place = 1
"""
SINK = """
CREATE TABLE session_features (
    session_id STRING, episode_id STRING, user_id STRING, country STRING, device STRING,
    platform STRING, experiment_group STRING, ui_version STRING, is_completed BOOLEAN,
    is_exit_tag BOOLEAN, completion_rate DOUBLE, avg_scroll_ratio DOUBLE, dwell_time_ms BIGINT,
    scroll_event_count BIGINT, event_count BIGINT, started_at TIMESTAMP_LTZ(3),
    ended_at TIMESTAMP_LTZ(3)
) WITH ('connector' = 'blackhole')
"""
SESSIONS = """
INSERT INTO session_features
SELECT
    session_id, episode_id, user_id, country, device, platform, experiment_group, ui_version,
    completes > 0, exits > 0 AND completes = 0,
    CASE WHEN completes > 0 THEN 1.0 ELSE COALESCE(max_scroll, 0.0) END, avg_scroll_ratio,
    TIMESTAMPDIFF(SECOND, started_at, ended_at) * 1000, scroll_event_count, event_count,
    started_at, ended_at
FROM (
    SELECT
        session_id, episode_id,
        FIRST_VALUE(user_id) AS user_id, FIRST_VALUE(country) AS country,
        FIRST_VALUE(device) AS device, FIRST_VALUE(platform) AS platform,
        FIRST_VALUE(experiment_group) AS experiment_group, FIRST_VALUE(ui_version) AS ui_version,
        COUNT(*) FILTER (WHERE event_type = 'complete') AS completes,
        COUNT(*) FILTER (WHERE event_type = 'exit') AS exits,
        MAX(scroll_ratio) AS max_scroll,
        AVG(scroll_ratio) FILTER (WHERE event_type = 'scroll') AS avg_scroll_ratio,
        COUNT(*) FILTER (WHERE event_type = 'scroll') AS scroll_event_count,
        COUNT(*) AS event_count,
        MIN(`timestamp`) AS started_at, MAX(`timestamp`) AS ended_at
    FROM {events}
    GROUP BY session_id, episode_id
)
"""
SETTINGS = {
    "parallelism.default": "2",
    "state.backend.type": "rocksdb",
    "execution.checkpointing.interval": "10 s",
    "execution.checkpointing.incremental": "true",
    # Most ids are new: a filter says so without a look at the disk.
    "state.backend.rocksdb.use-bloom-filter": "true",
    "pipeline.object-reuse": "true",
    "taskmanager.memory.managed.size": "512m",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "20000",
    "table.exec.state.ttl": "30 min",
    # How often the figures that are read below are renewed.
    "metrics.fetcher.update-interval": "100",
}


class Watcher(threading.Thread):
    """Asks the job's own cluster how many events the aggregation has taken, until it is gone."""

    def __init__(self, job: str) -> None:
        super().__init__(daemon=True)
        self.progress: list[tuple[float, int]] = []
        self._job = job

    def run(self) -> None:
        """One point each time the number has grown."""
        while True:
            try:
                with urllib.request.urlopen(self._job, timeout=10) as answer:  # noqa: S310
                    vertices = json.load(answer)["vertices"]
            except OSError:  # the cluster ends with its job
                return
            read = vertices[-1]["metrics"]["read-records"]
            if not self.progress or read > self.progress[-1][1]:
                self.progress.append((time.perf_counter(), read))
            time.sleep(LOOK_EVERY_S)


def main(
    *, brokers: str, topic: str, ends: str, once: bool, connector: str, port: int, folder: str
) -> None:
    """Run the job up to those offsets of the topic, then print how it went."""
    tables = table_environment(
        {
            **SETTINGS,
            "pipeline.jars": Path(connector).as_uri(),
            "execution.checkpointing.dir": Path(folder, "checkpoints").as_uri(),
            "io.tmp.dirs": folder,
            "rest.address": LOOPBACK,
            "rest.bind-address": LOOPBACK,
            "rest.port": str(port),
        }
    )
    tables.execute_sql(SOURCE.format(brokers=brokers, topic=topic, ends=ends))
    tables.execute_sql(EVENTS_ONCE)
    tables.execute_sql(SINK)
    began = time.perf_counter()
    result = tables.execute_sql(SESSIONS.format(events="events_once" if once else "events"))
    job = result.get_job_client().get_job_id()
    watcher = Watcher(f"http://{LOOPBACK}:{port}/jobs/{job}")
    watcher.start()
    result.wait()
    ended = time.perf_counter()
    print(json.dumps({"began": began, "progress": watcher.progress, "ended": ended}))


def table_environment(settings: dict[str, str]) -> TableEnvironment:
    """A cluster of its own in one process, with these settings."""
    configuration = Configuration()
    for name, value in settings.items():
        configuration.set_string(name, value)
    streaming = EnvironmentSettings.new_instance().in_streaming_mode()
    return TableEnvironment.create(streaming.with_configuration(configuration).build())


if __name__ == "__main__":
    main(**json.load(sys.stdin))
