"""Make `.venv` what the committed files say: environment, pinned packages, the project, the jars.

Each step leaves a stamp that holds the hash of what it was made from, so a second run only compares
a few hashes. A stamp is written last: an interrupted step runs again. Standard library only, since
this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from infra import doctor

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK, METADATA = ROOT / "requirements.lock", ROOT / "setup.cfg"
IVY, PINS = ROOT / "infra" / "ivy.xml", ROOT / "infra" / "jars.sha256"
CLASSES = ROOT / "infra" / "class_archive.py"


def key_of(files: list[Path]) -> str:
    """The hash of what a step is made from; the place counts, as scripts in a venv name it."""
    digest = hashlib.sha256(f"{ROOT}\n".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


class Step:
    """One thing to do when the files it is made from have changed."""

    def __init__(self, name: str, says: str, files: list[Path], commands: list[list[str]]) -> None:
        self.says, self.commands = says, commands
        self.stamp, self.key = VENV / f"{name}.stamp", key_of(files)

    def is_done(self) -> bool:
        """Whether the stamp belongs to the files as they are now."""
        has_python = PYTHON.exists()  # not when the Python that the venv links to was removed
        return has_python and self.stamp.exists() and self.stamp.read_text() == self.key

    def run(self) -> None:
        """Run the commands, then stamp."""
        sys.stdout.write(self.says + "\n")
        sys.stdout.flush()
        for command in self.commands:
            subprocess.run(command, check=True, cwd=ROOT)
        self.stamp.write_text(self.key)


def steps() -> list[Step]:
    """The steps in their order; a later one may rely on an earlier one."""
    python = str(PYTHON)
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    project = [*install, "--no-deps", "--no-build-isolation", "--editable", "."]
    venv = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    # The lock is complete, so nothing is left to resolve: faster, and the same with every pip.
    locked = [*install, "--no-deps", "--require-hashes", "--requirement", str(LOCK)]
    jars = [python, "-m", "infra.jars", "fetch"]
    classes = [python, "-m", "infra.class_archive"]
    resolved, loaded = [LOCK, IVY, PINS], [LOCK, IVY, PINS, CLASSES]
    return [
        Step("packages", "Installing the packages (a minute or two) ...", [LOCK], [venv, locked]),
        Step("project", "Installing userflow itself ...", [LOCK, METADATA], [project]),
        Step("jars", "Fetching the jars (a minute or two) ...", resolved, [jars]),
        Step("classes", "Recording what Java loads (a minute) ...", loaded, [classes]),
    ]


def main() -> int:
    """Run the steps that are not done; on a failure name the step and stop."""
    due = [step for step in steps() if not step.is_done()]
    if not due:
        return 0
    problems = doctor.problems()
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    for step in due:
        try:
            step.run()
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"Set-up stopped at: {step.says} (exit code {error.returncode})\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
