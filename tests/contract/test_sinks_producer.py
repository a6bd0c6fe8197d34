"""One suite for every sink: what was sent arrives, in order, byte for byte; failures are said.

The Kafka sinks run against the broker of the stack, where the order holds for a key; the collector
is a small local receiver.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec.structs import replace

from infra.endpoints import Endpoints
from producer.bad import carried_by
from producer.errors import DeliveryFailed
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks import MemorySink, Sink
from producer.sinks.http import HttpSink
from producer.sinks.jsonl import JsonlSink, TopicFilesSink
from producer.sinks.kafka import CLIENTS

# kafka-python reads its schemas by a function that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*_text is deprecated:DeprecationWarning")

Received = Callable[[], dict[str, list[bytes]]]


def log(carrier: str, domain: str = "sources") -> list[Sent]:
    simulation = Simulation(
        domain=domain,
        rate=100,
        duration=20,
        users=50,
        seed=5,
        start_us=1_767_225_600_000_000,
        bad_rate=0.1,
        bad_kinds=carried_by(carrier),
    )
    return list(simulate(simulation))


def by_topic(records: list[Sent]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for sent in records:
        found.setdefault(sent.topic, []).append(sent.value)
    return found


class Collector(BaseHTTPRequestHandler):
    """Answers like the collector: 202 and a result per event, after what `troubles` holds."""

    protocol_version = "HTTP/1.1"
    troubles: list[tuple[int, dict[str, str]]]
    received: dict[str, list[bytes]]
    keys: set[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.keys.add(self.headers["authorization"])
        if self.troubles:
            status, headers = self.troubles.pop(0)
            return self.answer(status, headers, b"{}")
        topic = self.path.partition("topic=")[2]
        events = json.loads(body)
        self.received.setdefault(topic, []).extend(
            json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            for event in events
        )
        results = [{"status": "rejected" if "bad" in event else "accepted"} for event in events]
        return self.answer(202, {}, json.dumps({"results": results}).encode())

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test output quiet."""


@pytest.fixture
def collector() -> Iterator[tuple[str, type[Collector]]]:
    handler = type("Handler", (Collector,), {"troubles": [], "received": {}, "keys": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


@pytest.fixture(params=["memory", "file", "files", "http"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, collector: tuple[str, type[Collector]]
) -> tuple[str, Sink, Received]:
    """A sink, what it carries, and how to read what arrived per topic."""
    if request.param == "memory":
        memory = MemorySink()
        return "kafka", memory, lambda: by_topic(memory.records)
    if request.param == "file":
        path = tmp_path / "new" / "all.jsonl"
        return "jsonl", JsonlSink(path), lambda: {"all": path.read_bytes().splitlines()}
    if request.param == "files":
        return "jsonl", TopicFilesSink(tmp_path), lambda: lines_of(tmp_path)
    api, handler = collector
    return "http", HttpSink(api, "key"), lambda: handler.received


def lines_of(directory: Path) -> dict[str, list[bytes]]:
    return {file.stem: file.read_bytes().splitlines() for file in directory.glob("*.jsonl")}


def test_what_was_sent_arrives_in_order(opened: tuple[str, Sink, Received]) -> None:
    carrier, sink, received = opened
    records = log(carrier)
    with sink:
        sink.send(records[:700])
        sink.send([])
        sink.send(records[700:])
        sink.flush()
    arrived = received()
    if "all" in arrived:
        assert arrived["all"] == [sent.value for sent in records]
    else:
        assert arrived == by_topic(records)


def test_a_jsonl_sink_refuses_what_is_no_line(tmp_path: Path) -> None:
    for value in (b"", b"{\n}"):
        with JsonlSink(tmp_path / "a.jsonl") as sink, pytest.raises(DeliveryFailed):
            sink.send([Sent("weather", None, value, 0, 0)])


def test_a_jsonl_sink_says_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(DeliveryFailed, match="cannot be written"):
        JsonlSink(tmp_path)


def test_http_waits_as_long_as_it_is_told_and_tries_again(
    collector: tuple[str, type[Collector]],
) -> None:
    api, handler = collector
    handler.troubles += [(429, {"retry-after": "3"}), (503, {}), (503, {"retry-after": "soon"})]
    waits: list[float] = []
    with HttpSink(api, "key", sleep=waits.append) as sink:
        sink.send(
            [Sent("weather", None, b'{"a":1}', 0, 0), Sent("weather", None, b'{"bad":1}', 0, 0)]
        )
    assert waits == [3.0, 0.2, 0.4]
    assert handler.received == {"weather": [b'{"a":1}', b'{"bad":1}']}
    assert handler.keys == {"Bearer key"}
    assert sink.refused == 1


def test_http_gives_up_in_a_sentence(collector: tuple[str, type[Collector]]) -> None:
    api, handler = collector
    record = [Sent("weather", None, b"{}", 0, 0)]
    handler.troubles += [(503, {})] * 8
    with (
        HttpSink(api, "key", sleep=lambda _: None) as sink,
        pytest.raises(DeliveryFailed, match="status 503"),
    ):
        sink.send(record)
    handler.troubles += [(403, {})]
    with HttpSink(api, "key") as sink, pytest.raises(DeliveryFailed, match="answered 403"):
        sink.send(record)


def test_http_says_that_nobody_answers() -> None:
    with (
        HttpSink("http://127.0.0.1:9", "key", sleep=lambda _: None) as sink,
        pytest.raises(DeliveryFailed, match="took no events in 8 attempts"),
    ):
        sink.send([Sent("weather", None, b"{}", 0, 0)])


PARTITIONS = 4


def new_topic(servers: str, name: str) -> str:
    """A topic of its own for each test, so that none reads what another wrote."""
    config = {"max.message.bytes": str(8 << 20)}
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(name, PARTITIONS, 1, config=config)])[name].result()
    return name


def messages(servers: str, topic: str, count: int) -> list[Message]:
    """`count` messages of the topic, the partitions from the beginning."""
    settings = {"bootstrap.servers": servers, "group.id": "reader", "enable.auto.commit": False}
    reader = Consumer({**settings, "message.max.bytes": 9 << 20})
    try:
        reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        found: list[Message] = []
        while len(found) < count:
            read = reader.consume(count - len(found), timeout=20)
            assert read, f"{len(found)} of {count} arrived"
            found += read
        return found
    finally:
        reader.close()


@pytest.mark.stack
@pytest.mark.parametrize("client", CLIENTS)
def test_kafka_keeps_bytes_keys_headers_and_the_order_of_a_key(
    client: str, stack: Endpoints
) -> None:
    topic = new_topic(stack.kafka, f"sink-{client}")
    records = [replace(sent, topic=topic) for sent in log("kafka", "webtoon")]
    with CLIENTS[client](stack.kafka) as sink:
        sink.send(records[:700])
        sink.send(records[700:])
        sink.flush()
    expected: dict[bytes | None, list[tuple[bytes, bytes]]] = {}
    for sent in records:
        at = str(sent.received_at_ms).encode()
        expected.setdefault(sent.key, []).append((sent.value, at))
    arrived: dict[bytes | None, list[tuple[bytes, bytes]]] = {}
    for message in messages(stack.kafka, topic, len(records)):
        header = dict(message.headers())["received_at"]
        arrived.setdefault(message.key(), []).append((message.value(), header))
    assert arrived == expected
    assert max(len(sent.value) for sent in records) > 1 << 20


@pytest.mark.stack
def test_both_clients_put_a_key_on_the_same_partition(stack: Endpoints) -> None:
    places = {}
    for client in CLIENTS:
        topic = new_topic(stack.kafka, f"keys-{client}")
        keys = [f"user_{number:05d}".encode() for number in range(200)]
        with CLIENTS[client](stack.kafka) as sink:
            sink.send([Sent(topic, key, b"{}", 0, 0) for key in keys])
        found = messages(stack.kafka, topic, len(keys))
        places[client] = {message.key(): message.partition() for message in found}
        assert {message.headers() for message in found} == {None}
    assert places["confluent"] == places["kafka-python"]
    assert len(set(places["confluent"].values())) == PARTITIONS


def test_kafka_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the default client: kafka-python leaves its sockets open when it cannot connect.
    monkeypatch.setattr("producer.sinks.kafka.CONNECT_S", 0.5)
    with pytest.raises(DeliveryFailed, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        CLIENTS["confluent"]("127.0.0.1:9")
