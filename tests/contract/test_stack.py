"""The embedded stack as a user meets it: started, killed, stopped, started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from infra.database import (
    ROLES,
    analyst_conninfo,
    pipeline_conninfo,
    recommender_conninfo,
)
from infra.endpoints import Endpoints
from infra.initialise import initialise
from infra.settings import Settings
from infra.stack.stack import Stack
from infra.stack.supervisor import start_mark

pytestmark = pytest.mark.stack

REFUSED = psycopg.errors.InsufficientPrivilege


def settings_for(home: Path, **more: object) -> Settings:
    external = {"kafka": None, "postgres": None, "redis": None, "lake": ""}
    return Settings.model_validate({"home": home, "start_timeout": 120, **external, **more})


def userflow(home: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    program = [sys.executable, "-c", "from infra.cli import main; main(prog_name='userflow')"]
    repository = Path(__file__).parents[2]
    environment = {**os.environ, "USERFLOW_HOME": home, "PYTHONPATH": str(repository)}
    return subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def place(new_home: Callable[[str], Path]) -> Iterator[Path]:
    """A folder with a second stack, whose home is relative and has a space and a letter like ü."""
    folder = new_home("my hömé").parent
    try:
        done = userflow("my hömé", "up", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        userflow("my hömé", "down", cwd=folder)


def home_of(place: Path) -> Path:
    return place / "my hömé"


def pids(place: Path) -> dict[str, int]:
    health = Stack(settings_for(home_of(place))).status()
    assert all(one.running for one in health.values())
    return {name: one.pid for name, one in health.items() if one.pid}


def produce_one(address: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    producer = Producer({"bootstrap.servers": address})
    producer.produce(topic, b"kept")
    assert producer.flush(20) == 0


def consume_one(address: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "unused"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.value()


def test_data_and_addresses_survive_down_and_up(place: Path) -> None:
    before = Endpoints.read(home_of(place))
    produce_one(before.kafka, "kept")
    with redis.Redis.from_url(before.redis) as client:
        client.set("kept", "yes")
    with psycopg.connect(before.postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

    old = pids(place)
    assert userflow("my hömé", "down", cwd=place).returncode == 0
    assert all(start_mark(pid) is None for pid in old.values())
    assert userflow("my hömé", "up", cwd=place).returncode == 0

    after = Endpoints.read(home_of(place))
    assert after == before
    assert consume_one(after.kafka, "kept") == b"kept"
    with redis.Redis.from_url(after.redis) as client:
        assert client.get("kept") == b"yes"
    with psycopg.connect(after.postgres) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_up_restarts_only_what_died(place: Path) -> None:
    before = pids(place)
    for name in ("postgres", "redis"):
        os.kill(before[name], signal.SIGKILL)
    assert userflow("my hömé", "status", cwd=place).returncode == 1
    done = userflow("my hömé", "up", cwd=place)
    assert done.returncode == 0, done.stderr
    after = pids(place)
    assert after["kafka"] == before["kafka"]
    assert after["postgres"] != before["postgres"]
    assert after["redis"] != before["redis"]


def test_two_stacks_run_side_by_side(place: Path, stack: Endpoints) -> None:
    other = Endpoints.read(home_of(place))
    addresses = {other.kafka, stack.kafka}
    addresses |= {urlsplit(e.postgres).netloc.split("@")[1] for e in (other, stack)}
    addresses |= {urlsplit(e.redis).netloc.split("@")[1] for e in (other, stack)}
    assert len(addresses) == 6
    assert userflow("my hömé", "status", cwd=place).returncode == 0


def test_secrets_are_in_private_files_and_in_no_command_line(place: Path) -> None:
    services = home_of(place) / "services"
    passwords = json.loads((services / "secrets.json").read_text()).values()
    for file in (services / "secrets.json", services / "redis" / "redis.conf"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((home_of(place) / "endpoints.json").stat().st_mode) == 0o600
    for pid in pids(place).values():
        process = psutil.Process(pid)
        visible = " ".join([*process.cmdline(), *process.environ().values()])
        assert not any(password in visible for password in passwords)


def test_a_wrong_password_is_refused(stack: Endpoints) -> None:
    address = urlsplit(stack.postgres).netloc.split("@")[1]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://userflow:wrong@{address}/userflow")
    host, port = urlsplit(stack.redis).netloc.split("@")[1].split(":")
    with (
        redis.Redis(host=host, port=int(port), password="wrong") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_a_taken_port_gets_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "userflow.toml").write_text(f"redis_port = {port}\n")
        done = userflow("home", "up", cwd=tmp_path)
    assert done.returncode == 1
    assert f"Port {port} for redis is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_and_status_are_fine_when_nothing_ever_ran(tmp_path: Path) -> None:
    assert userflow("home", "down", cwd=tmp_path).returncode == 0
    done = userflow("home", "status", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["kafka"]["running"] is False
    assert not (tmp_path / "home").exists()


def test_an_external_service_is_probed_and_never_touched(stack: Endpoints, tmp_path: Path) -> None:
    external = {"kafka": stack.kafka, "postgres": stack.postgres, "redis": stack.redis}
    guest = Stack(settings_for(tmp_path / "guest", **external))
    assert guest.up().redis == stack.redis
    health = guest.status()
    assert all(one.running and one.external and one.pid is None for one in health.values())
    assert "@" not in str(health["postgres"].address)
    guest.down()
    assert all(one.running for one in guest.status().values())


def test_init_runs_again_and_changes_nothing(stack: Endpoints, stack_home: Path) -> None:
    settings = settings_for(stack_home)
    report = initialise(stack, settings, Stack(settings).credentials)
    assert report.topics.created == ()
    assert report.topics.warnings == ()
    assert len(report.topics.kept) > 0


def test_input_topics_carry_the_brokers_append_time(stack: Endpoints) -> None:
    from features.topics import TOPICS

    topic = next(topic for topic in TOPICS if topic.is_input)
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    config = admin.describe_configs([resource])[resource].result()
    assert config["message.timestamp.type"].value == "LogAppendTime"
    assert config["cleanup.policy"].value == topic.cleanup


@pytest.fixture(scope="module")
def probe_tables(stack: Endpoints) -> Endpoints:
    """A table in every schema, made after `init`, as a later migration would."""
    with psycopg.connect(stack.postgres) as connection:
        for schema in ("online", "raw", "dim", "marts", "hive", "ops"):
            connection.execute(f"CREATE TABLE {schema}.probe (id int)")
    return stack


def is_allowed(conninfo: str, statement: str) -> bool:
    try:
        with psycopg.connect(conninfo) as connection:
            connection.execute(statement)
            connection.rollback()
    except REFUSED:
        return False
    return True


def allowed_schemas(conninfo: str, statement: str) -> set[str]:
    schemas = ("online", "raw", "dim", "marts", "hive", "ops")
    return {s for s in schemas if is_allowed(conninfo, statement.format(s))}


READ, WRITE = "SELECT id FROM {}.probe", "INSERT INTO {}.probe VALUES (1)"
OURS = {"online", "raw", "dim", "marts", "ops"}


def test_the_pipeline_writes_but_owns_nothing(probe_tables: Endpoints) -> None:
    pipeline = pipeline_conninfo(probe_tables.postgres)
    assert allowed_schemas(pipeline, WRITE) == OURS
    assert allowed_schemas(pipeline, "TRUNCATE {}.probe") == OURS
    assert is_allowed(pipeline, "CREATE TEMPORARY TABLE batch (id int)")
    assert allowed_schemas(pipeline, "DROP TABLE {}.probe") == set()
    # But for the metastore, which Spark makes itself, and the marts, which dbt makes.
    assert allowed_schemas(pipeline, "CREATE TABLE {}.other (id int)") == {"hive", "marts"}


def test_the_recommender_only_reads_online(probe_tables: Endpoints) -> None:
    recommender = recommender_conninfo(probe_tables.postgres)
    assert allowed_schemas(recommender, READ) == {"online"}
    assert allowed_schemas(recommender, WRITE) == set()
    assert not is_allowed(recommender, "CREATE TEMPORARY TABLE batch (id int)")


def test_the_analyst_reads_marts_and_dimensions_only(probe_tables: Endpoints) -> None:
    analyst = analyst_conninfo(probe_tables.postgres)
    assert allowed_schemas(analyst, READ) == {"marts", "dim"}
    assert allowed_schemas(analyst, WRITE) == set()


def test_the_analyst_sees_no_personal_data(stack: Endpoints, stack_home: Path) -> None:
    from infra.grants import grant

    analyst = analyst_conninfo(stack.postgres)
    with psycopg.connect(stack.postgres) as connection:
        connection.execute("CREATE TABLE online.people (id int, email text)")
        grant(connection, {"online.people": ["email"]})
    assert is_allowed(analyst, "SELECT id FROM online.people")
    assert not is_allowed(analyst, "SELECT email FROM online.people")
    assert not is_allowed(analyst, "SELECT * FROM online.people")


def test_every_role_can_log_in_itself_and_nobody_else_can(
    stack: Endpoints, stack_home: Path
) -> None:
    address = urlsplit(stack.postgres).netloc.split("@")[1]
    passwords = Stack(settings_for(stack_home)).credentials.known()
    for role in ROLES:
        with psycopg.connect(
            f"postgresql://{role}:{passwords[role]}@{address}/userflow"
        ) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)
    with psycopg.connect(stack.postgres) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"postgresql://stranger:stranger@{address}/userflow")
