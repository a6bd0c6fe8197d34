"""Is this machine fit? One sentence per thing that is missing.

Runs before anything is installed, so it imports the standard library alone and avoids syntax that
an old Python cannot parse: an old Python should read a sentence, not raise a SyntaxError.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["find_java", "java_problem", "problems", "python_problem"]

MIN_JAVA = 17
PYTHONS = ((3, 11), (3, 12))
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def python_problem(version: tuple[int, int]) -> str | None:
    """Why this Python cannot be used, or None."""
    if version in PYTHONS:
        return None
    found = "%d.%d" % version
    return f"Python {found} was found, 3.11 or 3.12 is needed: install one and run make again."


def find_java(java_home: Path | None = None) -> str | None:
    """The java program: of `java_home`, else of JAVA_HOME, else on PATH."""
    home = java_home or os.environ.get("JAVA_HOME")
    if home:
        candidate = Path(home) / "bin" / "java"
        return str(candidate) if candidate.exists() else None
    return shutil.which("java")


def java_version(java: str) -> int | None:
    """The major version that `java -version` states, or None if it does not run."""
    try:
        done = subprocess.run(
            [java, "-version"], check=False, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _JAVA_VERSION.search(done.stderr + done.stdout)
    return int(match.group(1)) if match else None


def java_problem(java: str | None) -> str | None:
    """Why this java cannot be used, or None."""
    remedy = f"install a Java {MIN_JAVA}+ runtime, or point JAVA_HOME at one."
    if java is None:
        return f"No java was found in JAVA_HOME or on PATH: {remedy}"
    version = java_version(java)
    if version is None:
        return f"{java} does not run: {remedy}"
    if version < MIN_JAVA:
        return f"{java} is Java {version}, {MIN_JAVA} or newer is needed: {remedy}"
    return None


def problems() -> list[str]:
    """Everything that keeps this machine from running the project."""
    found = (python_problem(sys.version_info[:2]), java_problem(find_java()))
    return [problem for problem in found if problem]


def main() -> int:
    """Print the problems; the exit code says whether there are any."""
    found = problems()
    for problem in found:
        sys.stderr.write(problem + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
