"""Flink SQL as a peer: its environment, set up once, and its run as a process of its own.

The environment lies in the home that is set, not in the benchmark's temporary one: installing it
takes a minute or two.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.home import Place, Say
from benchmarks.peers.port import Read
from infra import jars
from infra.errors import SetupError, StreamFailed
from infra.programs import output
from infra.settings import load_settings
from infra.stack.ports import Ports
from streaming.source import end_offsets

__all__ = ["FlinkSql"]

HERE = Path(__file__).parent
SCRIPT, IVY_FILE, PINS_FILE = HERE / "flink_sql.py", HERE / "flink.xml", HERE / "flink.sha256"
VERSION = "2.3.0"
LONGEST_S = 1800.0
# In which copies are recognised.
MOST_EVENTS = 1_000_000


class FlinkSql:
    """One process with two slots, as much heap as Spark's driver has, and the same collector.

    `once`: it recognises copies of an event, as the job does. It is slow enough then, and the
    slower the more ids it knows, to be measured on the beginning of the log.
    """

    def __init__(self, place: Place, *, once: bool = False) -> None:
        self.name = "Flink SQL, each event once" if once else "Flink SQL"
        self._once = once
        self._place = place
        self._folder = load_settings().home / "peers" / f"flink-{VERSION}"

    def prepare(self, say: Say) -> None:
        """Install Flink and fetch the connector, unless both are there."""
        done = self._folder / "installed"
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "lock"):
            if done.exists():
                return
            say(f"installing Flink {VERSION} into {self._folder} (a minute or two, once) ...")
            self._install()
            done.touch()

    def _install(self) -> None:
        venv = [sys.executable, "-m", "venv", "--clear", str(self._folder / "venv")]
        pip = [self._python, "-m", "pip", "install", "--quiet", f"apache-flink=={VERSION}"]
        for command in (venv, pip):
            output(command, SetupError, longest_s=LONGEST_S)
        jars.fetch(self._jars, ivy_file=IVY_FILE, configurations=("flink",))
        if jars.digests(self._jars) != jars.read_pins(PINS_FILE):
            raise SetupError(
                f"The jars in {self._jars} are not those that {PINS_FILE.name} pins: delete "
                f"{self._folder} and try again."
            )

    def read(self, topic: str, events: int, epoch: int) -> Read:
        """All of the topic, or its first million; as many events as the job's first epoch has, or
        half of them, are the warm-up.
        """
        wanted = min(MOST_EVENTS, events) if self._once else events
        ends = {
            place.rpartition("/")[2]: end * wanted // events
            for place, end in end_offsets(self._place.endpoints.kafka)([topic]).items()
        }
        with tempfile.TemporaryDirectory(prefix="userflow-flink-") as folder:
            found = self._figures(topic, ends, Path(folder))
        taken = sum(ends.values())
        progress = [(found["began"], 0), *map(tuple, found["progress"]), (found["ended"], taken)]
        return Read(progress, warm_up=min(epoch, taken // 2))

    def _figures(self, topic: str, ends: Mapping[str, int], folder: Path) -> dict[str, Any]:
        (connector,) = self._jars.glob("flink/*.jar")
        arguments = {
            "brokers": self._place.endpoints.kafka,
            "topic": topic,
            "ends": ";".join(f"partition:{at},offset:{end}" for at, end in ends.items()),
            "once": self._once,
            "connector": str(connector),
            "port": Ports(folder / "ports.json").choose("flink"),
            "folder": str(folder),
        }
        heap = f"-Xmx{self._place.settings.driver_memory} -XX:+UseParallelGC"
        done = output(
            [self._python, str(SCRIPT)],
            StreamFailed,
            given=json.dumps(arguments),
            variables={"JVM_ARGS": heap, "FLINK_LOG_DIR": str(folder)},
            longest_s=LONGEST_S,
        )
        found: dict[str, Any] = json.loads(done.splitlines()[-1])
        return found

    @property
    def _python(self) -> str:
        return str(self._folder / "venv" / "bin" / "python")

    @property
    def _jars(self) -> Path:
        return self._folder / "jars"
