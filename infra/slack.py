"""Messages for people: to a Slack incoming webhook, and to the log where there is none.

A message never fails what sends it: Slack may be slow, busy, broken or gone, and all of that ends
in a line of the log. The webhook's address is a secret, since whoever has it can write to the
channel: no line and no error here holds it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

import httpx
import structlog
from pydantic import SecretStr

__all__ = ["Message", "SlackQueue", "post"]

# A message that Slack took without saying so in time is sent again: twice is better than never.
TIMEOUT = httpx.Timeout(10.0, connect=3.0)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
GIVE_UP_S, PATIENCE_S = 60.0, 600.0
MOST_WAITING = 100
CLOSE_S = 5.0
# A section takes 3,000 characters, of four parts.
LONGEST = 700
BUSY = 429
Sleep = Callable[[float], bool | None]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`title`: one line. `what`: what happened. `look`: where to look, what to do. `link`: the run,
    where there is one. Plain text without personal data: it leaves the house.
    """

    title: str
    what: str
    look: str
    link: str | None = None

    def to_slack(self) -> dict[str, Any]:
        """The webhook's JSON; a notification shows its `text`."""
        parts = (f"*{_plain(self.title)}*", _plain(self.what), _plain(self.look))
        link = f"\n<{_plain(self.link)}|Open the run>" if self.link else ""
        text = {"type": "mrkdwn", "text": "\n".join(parts) + link}
        return {"text": _plain(self.title), "blocks": [{"type": "section", "text": text}]}


def post(
    webhook: SecretStr | None,
    message: Message,
    *,
    give_up_s: float = GIVE_UP_S,
    sleep: Sleep = time.sleep,
) -> bool:
    """Send one message and wait until Slack has it, `give_up_s` and one time-out at most.

    Returns whether Slack has it; what it does not take is logged. `sleep` returns true when it was
    cut short: then this is the end.
    """
    if webhook is None:
        log.info("message", **asdict(message))
        return False
    deadline, wait = time.monotonic() + give_up_s, FIRST_WAIT_S
    while refusal := _refusal(webhook, message, wait):
        is_over = refusal.pause_s is None or time.monotonic() + refusal.pause_s > deadline
        if is_over or sleep(refusal.pause_s or 0):
            _log_unsent(message, refusal.problem)
            return False
        log.warning("slack_failed", problem=refusal.problem, waited_s=refusal.pause_s)
        wait = min(2 * wait, LONGEST_WAIT_S)
    return True


class SlackQueue:
    """Posts in the background, one after the other; a call only takes the message down.

    Used as a context. Its end waits some seconds for what is on its way and logs the rest.
    """

    def __init__(
        self,
        webhook: SecretStr | None,
        *,
        patience_s: float = PATIENCE_S,
        most: int = MOST_WAITING,
        close_s: float = CLOSE_S,
    ) -> None:
        self._webhook = webhook
        self._patience_s = patience_s
        self._most = most
        self._close_s = close_s
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slack", daemon=True)

    def __call__(self, message: Message) -> None:
        """Take a message; when too many wait, it is logged instead."""
        if self._waiting.qsize() >= self._most:
            _log_unsent(message, f"{self._most} messages wait already")
        else:
            self._waiting.put(message)

    def _run(self) -> None:
        while message := self._waiting.get():
            if self._closing.is_set():
                _log_unsent(message, "the process ends")
            else:
                post(self._webhook, message, give_up_s=self._patience_s, sleep=self._closing.wait)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join(self._close_s)
        self._closing.set()
        self._thread.join(self._close_s)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """`pause_s`: seconds until it is worth another attempt; None: never."""

    problem: str
    pause_s: float | None


def _refusal(webhook: SecretStr, message: Message, wait: float) -> _Refusal | None:
    try:
        with (
            _unseen(),
            httpx.Client(timeout=TIMEOUT) as client,
            client.stream("POST", webhook.get_secret_value(), json=message.to_slack()) as answer,
        ):
            code = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return _Refusal(type(error).__name__, wait)  # its text may hold the address
    if code == httpx.codes.OK:
        return None
    is_worth_it = code == BUSY or code >= httpx.codes.INTERNAL_SERVER_ERROR
    return _Refusal(f"status {code}", _asked_for(answer, wait) if is_worth_it else None)


def _asked_for(answer: httpx.Response, default: float) -> float:
    """The seconds that Slack asks for; a date, or nothing readable, means our own back-off."""
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return default


@contextmanager
def _unseen() -> Iterator[None]:
    """Leave out httpx's own lines of this thread: each holds the address of the request."""
    me = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != me

    logger = logging.getLogger("httpx")
    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)


def _log_unsent(message: Message, problem: str) -> None:
    log.error("message_not_sent", problem=problem, **asdict(message))


def _plain(text: str) -> str:
    """Slack's three control characters escaped, and not more than a section takes."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped[:LONGEST]
