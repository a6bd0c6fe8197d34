"""A real HTTP server in the place of Slack, as slow and as broken as one likes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

__all__ = ["PATH", "Slack", "slack"]

PATH = "/services/T0/B0/hush-as-no-file-has-it"


@dataclass
class Slack:
    """A webhook that answers with `answers`, the last one for ever: status, headers, seconds."""

    answers: list[tuple[int, dict[str, str], float]]
    bodies: list[Any] = field(default_factory=list)
    url: str = ""

    @property
    def webhook(self) -> SecretStr:
        return SecretStr(self.url)

    @property
    def titles(self) -> list[str]:
        return [body["text"] for body in self.bodies]


@contextmanager
def slack(*answers: tuple[int, dict[str, str], float]) -> Iterator[Slack]:
    fake = Slack(list(answers) or [(200, {}, 0)])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == PATH
            fake.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            many = len(fake.answers) > 1
            code, headers, seconds = fake.answers.pop(0) if many else fake.answers[0]
            time.sleep(seconds)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_port}{PATH}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
