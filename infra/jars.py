"""The jars beside those that pyspark ships, and the two classpaths made of them.

`ivy.xml` says what is wanted, the Ivy inside pyspark fetches it, and `jars.sha256` pins name and
content of what must come. They live below the environment (`sys.prefix`), like any other
dependency, in one folder per classpath: `spark` and `broker`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.doctor import find_java, java_problem
from infra.errors import SetupError

__all__ = [
    "fetch",
    "jars_dir",
    "kafka_classpath",
    "pinned_jars",
    "pyspark_jars_dir",
    "spark_jars",
    "verify",
]

HERE = Path(__file__).parent
IVY_FILE = HERE / "ivy.xml"
PINS_FILE = HERE / "jars.sha256"
CONFIGURATIONS = ("spark", "broker")


def jars_dir() -> Path:
    """Where the fetched jars are."""
    return Path(sys.prefix) / "jars"


def pyspark_jars_dir() -> Path:
    """The jars that pyspark brings along (found without importing pyspark)."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SetupError(f"pyspark is not installed in {sys.prefix}: run `make setup`.")
    return Path(spec.origin).parent / "jars"


def spark_jars() -> list[Path]:
    """What to add to Spark's classpath (Delta, the Kafka source, the PostgreSQL driver)."""
    return pinned_jars("spark")


def kafka_classpath() -> str:
    """The classpath of the embedded Kafka broker; java itself expands the star."""
    return str(jars_dir() / "broker" / "*")


def pinned_jars(configuration: str) -> list[Path]:
    """The jars of one folder; raises when one is missing."""
    jars = [jars_dir() / name for name in read_pins() if name.startswith(f"{configuration}/")]
    missing = [jar.name for jar in jars if not jar.exists()]
    if missing:
        raise SetupError(f"{missing[0]} is missing in {jars[0].parent}: run `make setup`.")
    return jars


def read_pins(path: Path = PINS_FILE) -> dict[str, str]:
    """The pinned `folder/name.jar` -> sha256, in the order of the file."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def digests(folder: Path) -> dict[str, str]:
    """The same for what is in a folder."""
    jars = sorted(folder.glob("*/*.jar"))
    return {f"{j.parent.name}/{j.name}": hashlib.sha256(j.read_bytes()).hexdigest() for j in jars}


def verify(folder: Path, pins: dict[str, str]) -> None:
    """Raise unless the folder holds exactly the pinned jars."""
    found = digests(folder)
    for name in sorted(pins.keys() | found.keys()):
        if found.get(name) != pins.get(name):
            raise SetupError(
                f"{name} has sha256 {found.get(name, 'none (missing)')}, "
                f"{PINS_FILE.name} expects {pins.get(name, 'no such jar')}: if ivy.xml was changed "
                "on purpose, run `python -m infra.jars pin`, else delete .venv and try again."
            )


def fetch(
    target: Path, *, ivy_file: Path = IVY_FILE, configurations: Sequence[str] = CONFIGURATIONS
) -> None:
    """Resolve `ivy_file` into `target`, one folder per configuration."""
    java = find_java()
    problem = java_problem(java)
    if java is None or problem:
        raise SetupError(problem)
    shutil.rmtree(target, ignore_errors=True)
    command = [*_ivy_command(java, target, ivy_file), "-confs", *configurations]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise SetupError(f"Ivy could not fetch the jars of {ivy_file.name}:\n{tail}")
    shutil.rmtree(_cache_dir(target), ignore_errors=True)


def _ivy_command(java: str, target: Path, ivy_file: Path) -> list[str]:
    ivy = next(pyspark_jars_dir().glob("ivy-*.jar"))
    pattern = f"{target}/[conf]/[artifact]-[revision](-[classifier]).[ext]"
    command = [java, "-jar", str(ivy), "-ivy", str(ivy_file), "-cache", str(_cache_dir(target))]
    command += ["-warn", "-types", "jar", "bundle"]
    return [*command, "-retrieve", pattern]


def _cache_dir(target: Path) -> Path:
    # Kept after a failure, so that a broken download goes on where it stopped.
    return target.with_name(f"{target.name}-cache")


def main(arguments: list[str]) -> int:
    """`fetch`: get the pinned jars. `pin`: get what ivy.xml says and pin that."""
    if arguments not in (["fetch"], ["pin"]):
        sys.stderr.write("usage: python -m infra.jars fetch|pin\n")
        return 2
    try:
        fetch(jars_dir())
        if arguments == ["pin"]:
            lines = [f"{digest}  {name}\n" for name, digest in digests(jars_dir()).items()]
            PINS_FILE.write_text("".join(lines), encoding="ascii")
        verify(jars_dir(), read_pins())
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
