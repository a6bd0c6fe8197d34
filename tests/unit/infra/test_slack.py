"""What becomes of a message: against a real HTTP server that behaves as badly as Slack can."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest
from fake_slack import PATH, slack
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra.slack import Message, SlackQueue, post

MESSAGE = Message(
    title="user-events: 43 % broken", what="a < b & c", look="userflow status", link="http://r/1"
)


def titled(title: str) -> Message:
    return Message(title=title, what="w", look="l")


def test_slack_gets_title_what_where_and_link_and_nothing_is_markup() -> None:
    with slack() as fake:
        assert post(fake.webhook, MESSAGE)
    text = fake.bodies[0]["blocks"][0]["text"]["text"]
    assert text == (
        "*user-events: 43 % broken*\na &lt; b &amp; c\nuserflow status\n<http://r/1|Open the run>"
    )
    assert fake.titles == ["user-events: 43 % broken"]


def test_a_long_message_fits() -> None:
    long = Message(title="t" * 5000, what="w" * 5000, look="l" * 5000, link="h" * 5000)
    assert len(long.to_slack()["blocks"][0]["text"]["text"]) < 3000


def test_without_a_webhook_it_is_logged() -> None:
    with capture_logs() as lines:
        assert not post(None, MESSAGE)
    assert lines[0]["event"] == "message"
    assert lines[0]["what"] == "a < b & c"


def test_busy_slack_is_asked_again_when_it_says() -> None:
    waited: list[float] = []
    with slack((429, {"Retry-After": "7"}, 0), (500, {}, 0), (200, {}, 0)) as fake:
        assert post(fake.webhook, MESSAGE, sleep=waited.append)
    assert waited == [7.0, 1.0]
    assert len(fake.bodies) == 3


def test_it_gives_up_when_slack_asks_for_more_than_there_is() -> None:
    with slack((429, {"Retry-After": "3600"}, 0)) as fake, capture_logs() as lines:
        assert not post(fake.webhook, MESSAGE)
    assert [line["event"] for line in lines] == ["message_not_sent"]
    assert lines[0]["problem"] == "status 429"


def test_it_gives_up_in_time() -> None:
    begun = time.monotonic()
    with slack((500, {}, 0)) as fake:
        assert not post(fake.webhook, MESSAGE, give_up_s=1)
    assert time.monotonic() - begun < 3
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("code", [302, 400, 403, 404, 410])
def test_what_will_never_be_taken_is_not_sent_again(code: int) -> None:
    with slack((code, {"location": "http://127.0.0.1:9/"}, 0)) as fake:
        assert not post(fake.webhook, MESSAGE)
    assert len(fake.bodies) == 1


def test_a_slow_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.slack.TIMEOUT", 0.2)
    with slack((200, {}, 5)) as fake, capture_logs() as lines:
        begun = time.monotonic()
        assert not post(fake.webhook, MESSAGE, give_up_s=0.1)
        assert time.monotonic() - begun < 2
    assert lines[-1]["problem"] == "ReadTimeout"


def test_a_broken_connection_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            for _ in range(2):
                server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        waited: list[float] = []
        webhook = SecretStr(f"http://127.0.0.1:{port}{PATH}")
        assert not post(webhook, MESSAGE, sleep=lambda s: waited.append(s) or len(waited) == 2)
        thread.join()
    assert waited == [0.5, 1.0]


def test_the_address_is_in_no_line_whatever_happens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with slack((500, {}, 0), (404, {}, 0)) as fake, capture_logs() as lines:
        post(fake.webhook, MESSAGE, sleep=lambda _: None)
        gone = SecretStr(f"http://127.0.0.1:9{PATH}")
        post(gone, MESSAGE, sleep=lambda _: True)
        post(SecretStr(f"ftp://h{PATH}"), MESSAGE, sleep=lambda _: True)
        post(SecretStr(f"http://h:port{PATH}"), MESSAGE, sleep=lambda _: True)
        post(SecretStr(f"http://{'h' * 300}{PATH}"), MESSAGE, sleep=lambda _: True)
    assert len([line for line in lines if line["event"] == "message_not_sent"]) == 5
    assert "hush" not in caplog.text + json.dumps(lines)
    assert "httpcore" in caplog.text  # the lines of others were looked at
    assert "hush" not in repr(fake.webhook)


def test_the_queue_sends_in_order_and_waits_for_nobody() -> None:
    with slack((200, {}, 0.2)) as fake:
        with SlackQueue(fake.webhook) as tell:
            begun = time.monotonic()
            for title in "abc":
                tell(titled(title))
            assert time.monotonic() - begun < 0.1
        assert fake.titles == ["a", "b", "c"]


def test_the_queue_is_bounded_and_ends_in_time_and_all_is_logged() -> None:
    with slack((500, {}, 0)) as fake, capture_logs() as lines:
        begun = time.monotonic()
        with SlackQueue(fake.webhook, most=3, close_s=1) as tell:
            tell(titled("first"))
            while not fake.bodies:
                time.sleep(0.01)
            for title in "abcd":
                tell(titled(title))
        assert time.monotonic() - begun < 5
    unsent = {line["title"]: line["problem"] for line in lines if "title" in line}
    assert unsent == {
        "first": "status 500",
        "a": "the process ends",
        "b": "the process ends",
        "c": "the process ends",
        "d": "3 messages wait already",
    }
