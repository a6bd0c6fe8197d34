"""Programs of other environments: what they print, or what they complain of."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from infra.errors import SetupError
from infra.programs import PinnedPython, output


def python(code: str, **named: object) -> str:
    return output([sys.executable, "-c", code], SetupError, **named)  # type: ignore[arg-type]


def test_it_is_given_a_text_a_folder_and_variables_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    code = "import os; print(input(), os.getcwd(), os.environ['A'], repr(os.environ['PYTHONPATH']))"
    told = python(code, given="text", folder=tmp_path, variables={"A": "1"})
    assert told.split() == ["text", str(tmp_path), "1", "''"]


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_one_that_fails_tells_the_end_of_its_complaints(stream: str) -> None:
    code = f"import sys; [print(n, file=sys.{stream}) for n in range(20)]; sys.exit(3)"
    with pytest.raises(SetupError, match=r"exit code 3:\n5\n6\n(.*\n)*19$"):
        python(code)


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        python("import time; time.sleep(30)", longest_s=0.2)


def test_a_python_of_its_own_is_made_once_for_its_pins(tmp_path: Path) -> None:
    pins, said, finished = tmp_path / "pins.txt", [], []
    pins.write_text("# nothing\n")
    made = PinnedPython(tmp_path / "made", pins)

    def fail() -> None:
        raise SetupError("not finished")

    with pytest.raises(SetupError, match="not finished"):
        made.install(said.append, "first", fail)
    for note in ("second", "third"):
        made.install(said.append, note, partial(finished.append, note))
    pins.write_text("# nothing else\n")
    made.install(said.append, "fourth")
    assert said == ["first", "second", "fourth"]
    assert finished == ["second"]
    prefix = output([made.program("python"), "-c", "import sys; print(sys.prefix)"], SetupError)
    assert Path(prefix.strip()) == tmp_path / "made" / "venv"
