"""Kafka: broker and controller in one JVM (KRaft), data below the home."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from infra.class_archive import class_sharing
from infra.doctor import find_java, java_problem
from infra.errors import ServiceError, SetupError
from infra.jars import kafka_classpath, pinned_jars
from infra.stack.ports import LOOPBACK
from infra.stack.probes import probe_kafka
from infra.stack.supervisor import Service

__all__ = ["kafka_service", "prepare_kafka"]

MESSAGE_BYTES = 8 * 1024 * 1024
# One small broker: compiling and collecting must not take the cores that the jobs need.
JVM = ("-Xms256m", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Paths are relative to the service's folder: a comma in log.dirs would split it, and a properties
# file cannot hold letters outside Latin-1.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{host}:{controller_port}
log.dirs=data

auto.create.topics.enable=false
message.max.bytes={message_bytes}
replica.fetch.max.bytes={message_bytes}
log.retention.ms=-1
log.segment.bytes=134217728
log.cleaner.dedupe.buffer.size=33554432

default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0

num.network.threads=2
num.io.threads=4
background.threads=2
"""
LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %p %m (%c)%n
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=INFO
"""


def kafka_service(directory: Path, port: int, java_home: Path | None) -> Service:
    """How to run the broker that `prepare_kafka` has prepared."""
    address = f"{LOOPBACK}:{port}"
    return Service(
        name="kafka",
        directory=directory,
        command=(*_java(java_home), *JVM, "kafka.Kafka", "server.properties"),
        environment={"CLASSPATH": kafka_classpath()},
        probe=lambda: probe_kafka(address),
    )


def prepare_kafka(directory: Path, port: int, controller_port: int, java_home: Path | None) -> None:
    """Check java and the jars, write the configuration, format the storage the first time."""
    problem = java_problem(find_java(java_home))
    if problem:
        raise SetupError(problem)
    pinned_jars("broker")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = PROPERTIES.format(
        host=LOOPBACK, port=port, controller_port=controller_port, message_bytes=MESSAGE_BYTES
    )
    (directory / "server.properties").write_text(text, encoding="ascii")
    (directory / "log4j2.properties").write_text(LOGGING, encoding="ascii")
    if not (directory / "data" / "meta.properties").exists():
        _format(directory, java_home)


def _format(directory: Path, java_home: Path | None) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # One word: one id in sixty-four begins with a dash and would be taken for an option.
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]
    done = subprocess.run(
        [*_java(java_home), *tool, "--config", "server.properties"],
        check=False,
        cwd=directory,
        env={"CLASSPATH": kafka_classpath(), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ServiceError(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")


def _java(java_home: Path | None) -> tuple[str, ...]:
    java = find_java(java_home) or "java"
    settings = ("-Dlog4j2.configurationFile=log4j2.properties", "-Djava.awt.headless=true")
    return (java, *class_sharing("broker"), *settings)
