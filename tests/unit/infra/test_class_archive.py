"""Classes that are shared: a JVM that finds its archive loads next to nothing itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra import class_archive
from infra.class_archive import RECORDING, class_sharing
from infra.doctor import find_java
from infra.jars import jars_dir, kafka_classpath

SHARED = "shared objects file (top)"


def test_without_an_archive_a_jvm_gets_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archive, "jars_dir", lambda: tmp_path)
    assert class_sharing("spark") == ()


def test_a_run_that_is_recorded_writes_beside_the_archive_that_others_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archive, "jars_dir", lambda: tmp_path)
    monkeypatch.setenv(RECORDING, "1")
    (tmp_path / "spark.jsa").touch()
    assert class_sharing("spark")[-1] == f"-XX:ArchiveClassesAtExit={tmp_path}/spark.unfinished"


def test_a_machine_that_cannot_record_is_set_up_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(class_archive, "jars_dir", lambda: tmp_path)
    monkeypatch.setattr(class_archive, "PIPELINE", (("no-such-command",),))
    assert class_archive.main() == 0
    assert "starts take longer" in capsys.readouterr().err
    assert class_sharing("spark") == ()


@pytest.mark.skipif(not (jars_dir() / "broker.jsa").exists(), reason="set up without an archive")
def test_the_recorded_classes_fit_the_classpath_as_it_is() -> None:
    command = [find_java() or "java", *class_sharing("broker"), "-Xlog:class+load:stdout"]
    told = subprocess.run(
        [*command, "kafka.tools.StorageTool", "random-uuid"],
        env={"CLASSPATH": kafka_classpath()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (loaded,) = (line for line in told.splitlines() if " org.apache.kafka.common.Uuid " in line)
    assert SHARED in loaded
