"""Class data sharing: what one JVM has loaded and verified, the next one maps into memory.

Spark loads some fifteen thousand classes before it reads its first event, which is most of its
start. `make setup` runs the pipeline once in a home of its own and lets each JVM write down at its
end what it had loaded. A JVM passes over an archive that does not fit (another Java, other jars):
it starts as slowly as without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from infra.jars import jars_dir

__all__ = ["class_sharing", "record"]

# Set for the processes of the run that is recorded.
RECORDING = "USERFLOW_RECORDING_CLASSES"
# A JVM speaks of an archive that does not fit among the program's own output.
QUIET = "-Xlog:disable", "-Xlog:all=error:stderr"
PIPELINE = (
    ("up",),
    ("init",),
    ("produce", "--domain", "webtoon", "--rate", "200", "--duration", "5", "--seed", "1"),
    ("produce", "--domain", "commerce", "--rate", "200", "--duration", "5", "--seed", "1"),
    ("stream", "--available-now"),
)
STEP_S, WRITE_S = 300.0, 120.0


def class_sharing(name: str) -> tuple[str, ...]:
    """The options of JVM `name` (`spark` or `broker`) to share its archive, where there is one."""
    archive = _archive(name)
    if RECORDING in os.environ:
        return (*QUIET, f"-XX:ArchiveClassesAtExit={_unfinished(archive)}")
    return (*QUIET, f"-XX:SharedArchiveFile={archive}") if archive.exists() else ()


def record() -> None:
    """Run the pipeline on a few events; raises `SubprocessError` or `OSError` if that fails."""
    with tempfile.TemporaryDirectory(prefix="userflow-classes-") as folder:
        environment = {**_without_settings(), "USERFLOW_HOME": folder, RECORDING: "1"}
        try:
            for step in PIPELINE:
                _userflow(step, environment)
        finally:
            _userflow(("down",), environment)
    for archive in (_archive("spark"), _archive("broker")):
        _wait_until_written(_unfinished(archive))
        _unfinished(archive).chmod(0o444)
        _unfinished(archive).replace(archive)


def _archive(name: str) -> Path:
    return jars_dir() / f"{name}.jsa"


def _unfinished(archive: Path) -> Path:
    return archive.with_suffix(".unfinished")


def _without_settings() -> dict[str, str]:
    """What is set from outside may name a store that holds somebody's data."""
    return {name: value for name, value in os.environ.items() if not name.startswith("USERFLOW_")}


def _userflow(command: tuple[str, ...], environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "infra", *command],
        check=True,
        env=environment,
        cwd=environment["USERFLOW_HOME"],
        stdout=subprocess.DEVNULL,
        timeout=STEP_S,
    )


def _wait_until_written(file: Path) -> None:
    """A JVM outlives the Python that it belongs to while it writes."""
    deadline = time.monotonic() + WRITE_S
    while not file.exists() or any(str(file) in word for word in _command_lines()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file.name} was not written within {WRITE_S:.0f} s")
        time.sleep(0.2)


def _command_lines() -> list[str]:
    return [word for one in psutil.process_iter(["cmdline"]) for word in one.info["cmdline"] or ()]


def main() -> int:
    """Record; whoever cannot has slow starts, and is told, but is not kept from anything."""
    try:
        record()
    except (subprocess.SubprocessError, OSError) as error:
        sys.stderr.write(f"Java's classes were not recorded ({error}): starts take longer.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
