"""What a process tree takes of the machine."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.machine import conditions, cpu_times, peak_memory, stolen

HOLDS_MEMORY = "held = bytearray(64 << 20); print('ready', flush=True); input()"


def test_the_peak_counts_children_but_not_the_services() -> None:
    command = [sys.executable, "-c", HOLDS_MEMORY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with peak_memory(frozenset()) as all_of_us:
            pass
        with peak_memory(frozenset({child.pid})) as without:
            pass
        child.communicate(b"\n")
    assert all_of_us.parts["workers"] - without.parts["workers"] > 60 << 20
    assert without.parts["driver"] > 0


def test_conditions_name_the_machine() -> None:
    found = conditions(master="local[2]")
    assert found["cores"]
    assert found["master"] == "local[2]"
    assert 0.0 <= stolen(cpu_times()) <= 1.0
